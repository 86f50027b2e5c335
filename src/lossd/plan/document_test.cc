#include "lossd/plan/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

std::string ErrorOf(absl::string_view text) {
  const auto document = ParseDocument(text);
  EXPECT_EQ(ErrorField(document.status()), "plan") << text;
  return std::string(document.status().message());
}

// The document in a canonical form.
std::string Show(const DocumentNode& node) {
  std::string shown;
  switch (node.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kScalar:
      return node.quoted ? absl::StrCat("'", node.text, "'") : node.text;
    case Kind::kSequence:
      for (const auto& item : node.items) absl::StrAppend(&shown, Show(*item), " ");
      return absl::StrCat("[ ", shown, "]");
    case Kind::kMapping:
      for (const auto& [key, value] : node.entries) {
        absl::StrAppend(&shown, key, ":", Show(*value), " ");
      }
      return absl::StrCat("{ ", shown, "}");
  }
  return shown;
}

std::string Parsed(absl::string_view text) {
  const auto document = ParseDocument(text);
  EXPECT_TRUE(document.ok()) << document.status();
  return document.ok() ? Show(**document) : "";
}

TEST(DocumentTest, ReadsYamlAndJson) {
  EXPECT_EQ(Parsed("a: 1\nb: [x, 'y', null, ~]\nc:\n  d: !!str 5\n"),
            "{ a:1 b:[ x 'y' null null ] c:{ d:'5' } }");
  EXPECT_EQ(Parsed(R"({"a": 1.5, "b": [true, "true", {}], "c": null})"),
            "{ a:1.5 b:[ true 'true' { } ] c:null }");
  EXPECT_EQ(Parsed(""), "null");
  EXPECT_EQ(Parsed("'null'"), "'null'");
}

TEST(DocumentTest, FindSkipsNulls) {
  const auto document = ParseDocument("a: 1\nb:\n");
  ASSERT_TRUE(document.ok());
  ASSERT_NE((*document)->Find("a"), nullptr);
  EXPECT_EQ((*document)->Find("a")->text, "1");
  EXPECT_EQ((*document)->Find("b"), nullptr);
  EXPECT_EQ((*document)->Find("c"), nullptr);
}

TEST(DocumentTest, ResolvesAnchorsAndMergeKeys) {
  EXPECT_EQ(Parsed("a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n"),
            "{ a:{ p:1 q:2 } b:{ p:1 q:2 } c:{ q:3 p:1 } }");
  EXPECT_EQ(Parsed("a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}\n"),
            "{ a:{ p:1 } b:{ p:2 q:2 } c:{ p:1 q:2 } }");
}

TEST(DocumentTest, SaysWhereASyntaxErrorIs) {
  EXPECT_THAT(ErrorOf("a: 1\nb: [1, 2\n"), testing::HasSubstr("line 3"));
  EXPECT_THAT(ErrorOf("{\"a\": 1"), testing::HasSubstr("line"));
  EXPECT_THAT(ErrorOf("a: 1\nb: 2\na: 3\n"),
              testing::AllOf(testing::HasSubstr("line 3"), testing::HasSubstr("a occurs twice")));
  EXPECT_THAT(ErrorOf("? [a]\n: 1\n"), testing::HasSubstr("a key must be a word"));
  EXPECT_THAT(ErrorOf("a: *nobody\n"), testing::HasSubstr("line 1"));
  EXPECT_THAT(ErrorOf("a: &x [*x]\n"), testing::HasSubstr("line 1"));
  EXPECT_THAT(ErrorOf("a: 1\n---\nb: 2\n"), testing::HasSubstr("several YAML documents"));
  EXPECT_THAT(ErrorOf("a: !!python/object:os.system x\n"), testing::HasSubstr("tag"));
  EXPECT_THAT(ErrorOf("<<: 1\n"), testing::HasSubstr("<<"));
  EXPECT_THAT(ErrorOf("a: \xff\xfe"), testing::HasSubstr("UTF-8"));
}

TEST(DocumentTest, BoundsDepthAndSize) {
  EXPECT_THAT(ErrorOf(std::string(10'000, '[')), testing::HasSubstr("deeper than"));
  EXPECT_THAT(ErrorOf(std::string(10'000, '{')), testing::Not(testing::IsEmpty()));
  std::string nested;
  std::string indent;
  for (int i = 0; i < 300; ++i) {
    absl::StrAppend(&nested, indent, "a:\n");
    indent.push_back(' ');
  }
  EXPECT_THAT(ErrorOf(nested), testing::HasSubstr("deeper than"));
  EXPECT_THAT(ErrorOf(std::string(size_t{2} << 20, 'a')), testing::HasSubstr("at most"));
  std::string many = "[";
  for (int i = 0; i < 120'000; ++i) many += "1,";
  EXPECT_THAT(ErrorOf(absl::StrCat(many, "1]")), testing::HasSubstr("more than"));
}

TEST(DocumentTest, AliasesDoNotMultiply) {
  std::string bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 12; ++i) {
    absl::StrAppend(&bomb, "a", i, ": &a", i, " [");
    for (int k = 0; k < 10; ++k) absl::StrAppend(&bomb, k > 0 ? "," : "", "*a", i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(ErrorOf(bomb), testing::HasSubstr("more than"));
}

// Whatever the bytes, there is a document or an error about it.
TEST(DocumentTest, SurvivesMutations) {
  const std::string seed =
      "losses:\n- {function: DiceLoss, kwargs: &k {sigmoid: true}}\n- function: 'x'\n"
      "  <<: *k\nheads: {a: {target_slice: \"0:3\"}}\n# note\nb: |\n  text\n? c\n: [1, -2.5e3, "
      "~]\n";
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seed;
    const int edits = 1 + static_cast<int>(random() % 6);
    for (int edit = 0; edit < edits; ++edit) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text[at] = "[]{}:,&*!|>'\"%@`#?-\n \t~<"[random() % 25];
          break;
        case 2:
          text.erase(at, 1 + random() % 8);
          break;
        default:
          text = absl::StrCat(text.substr(0, at),
                              text.substr(random() % text.size(), random() % 16), text.substr(at));
      }
      if (text.empty()) text.push_back('a');
    }
    const auto document = ParseDocument(text);
    if (!document.ok()) {
      ASSERT_EQ(ErrorField(document.status()), "plan");
    }
  }
}

}  // namespace
}  // namespace lossd
