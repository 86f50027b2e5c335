#include "server/security/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kFirst[] = "0123456789abcdef";
constexpr char kSecond[] = "fedcba9876543210:=";

TEST(TokensTest, KnowsWhoseATokenIs) {
  const absl::StatusOr<Tokens> tokens =
      Tokens::Parse(absl::StrCat("# people\n\n  alice:", kFirst, "\r\nbob:", kSecond, "\n"));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->OwnerOf(kFirst), "alice");
  EXPECT_EQ(tokens->OwnerOf(kSecond), "bob");
  for (const char* other : {"", "0123456789abcde", "0123456789abcdef0", "alice:0123456789abcdef"}) {
    EXPECT_EQ(tokens->OwnerOf(other), "") << other;
  }
}

TEST(TokensTest, GivesANameSeveral) {
  const absl::StatusOr<Tokens> tokens =
      Tokens::Parse(absl::StrCat("alice:", kFirst, "\nalice:", kSecond));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->size(), 2);
  EXPECT_EQ(tokens->OwnerOf(kSecond), "alice");
}

TEST(TokensTest, RefusesWhatIsNoTokenFileWithoutShowingIt) {
  const struct {
    std::string text;
    const char* says;
  } cases[] = {
      {"", "no token"},
      {"# alice:0123456789abcdef", "no token"},
      {"\n0123456789abcdef", "no ':' on line 2"},
      {":0123456789abcdef", "a name"},
      {"al ice:0123456789abcdef", "a name"},
      {"alice:0123456789abcde", "a token"},
      {"alice:0123456789 abcdef", "a token"},
      {"alice:" + std::string(5000, 'x'), "a token"},
      {"alice:0123456789abcdef\nbob:0123456789abcdef", "an earlier line"},
  };
  for (const auto& [text, says] : cases) {
    const absl::Status status = Tokens::Parse(text).status();
    EXPECT_EQ(ErrorField(status), "token_file") << text;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(says), Not(HasSubstr("0123")))) << text;
  }
}

}  // namespace
}  // namespace lossd
