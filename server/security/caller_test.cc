#include "server/security/caller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr char kPeer[] = "ipv4:10.0.0.7:41022";
constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

Caller Identify(const Metadata& metadata, absl::string_view peer = kPeer,
                const Tokens* tokens = nullptr) {
  return IdentifyCaller(metadata, /*connection=*/nullptr, peer, tokens);
}

Tokens OneToken() { return *Tokens::Parse("alice:0123456789abcdef"); }

TEST(CallerTest, IsWhatItCallsItself) {
  const Caller caller = Identify({{"x-lossd-client", "trainer-3"}});
  EXPECT_EQ(caller.identity, "trainer-3");
  EXPECT_TRUE(caller.let_in.ok());
}

TEST(CallerTest, IsItsAddressWithoutAName) {
  EXPECT_EQ(Identify({}).identity, "10.0.0.7");
  EXPECT_EQ(Identify({}, "ipv6:%5B::1%5D:41022").identity, "::1");
  EXPECT_EQ(Identify({}, "unix:").identity, "unix:");
  const std::string long_name(129, 'x');
  for (const char* name : {"", "two words", "new\nline", long_name.c_str()}) {
    EXPECT_EQ(Identify({{"x-lossd-client", name}}).identity, "10.0.0.7") << name;
  }
  EXPECT_EQ(Identify({{"x-lossd-client", "a"}, {"x-lossd-client", "b"}}).identity, "10.0.0.7");
}

TEST(CallerTest, IsTheOwnerOfItsToken) {
  const Tokens tokens = OneToken();
  for (const char* given : {"Bearer 0123456789abcdef", "bearer  0123456789abcdef"}) {
    const Caller caller =
        Identify({{"authorization", given}, {"x-lossd-client", "bob"}}, kPeer, &tokens);
    EXPECT_TRUE(caller.let_in.ok()) << caller.let_in;
    EXPECT_EQ(caller.identity, "alice");
  }
}

TEST(CallerTest, IsNotLetInWithoutAToken) {
  const Tokens tokens = OneToken();
  const struct {
    Metadata metadata;
    const char* reason;
  } cases[] = {
      {{}, "TOKEN_MISSING"},
      {{{"authorization", "0123456789abcdef"}}, "TOKEN_MISSING"},
      {{{"authorization", "Basic 0123456789abcdef"}}, "TOKEN_MISSING"},
      {{{"authorization", "Bearer 0123456789abcdef"}, {"authorization", "Bearer x"}},
       "TOKEN_MISSING"},
      {{{"authorization", "Bearer "}}, "TOKEN_UNKNOWN"},
      {{{"authorization", "Bearer 0123456789abcdee"}}, "TOKEN_UNKNOWN"},
      {{{"authorization", "Bearer alice:0123456789abcdef"}}, "TOKEN_UNKNOWN"},
  };
  for (const auto& [metadata, reason] : cases) {
    Metadata named = metadata;
    named.emplace("x-lossd-client", "alice");
    const Caller caller = Identify(named, kPeer, &tokens);
    EXPECT_TRUE(absl::IsUnauthenticated(caller.let_in)) << caller.let_in;
    EXPECT_EQ(ErrorReason(caller.let_in), reason);
    // Nobody gets another's name by saying it.
    EXPECT_EQ(caller.identity, "10.0.0.7");
  }
}

TEST(CallerTest, BelongsToATraceThatIsWellFormed) {
  EXPECT_EQ(Identify({{"traceparent", kTraceparent}}).traceparent, kTraceparent);
  for (const char* given : {
           "",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
           "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
       }) {
    EXPECT_EQ(Identify({{"traceparent", given}}).traceparent, "") << given;
  }
}

}  // namespace
}  // namespace lossd
