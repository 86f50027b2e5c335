#include "lossctl/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace lossd {
namespace {

TEST(Json, Values) {
  EXPECT_EQ(Json().text(), "null");
  EXPECT_EQ(Json(true).text(), "true");
  EXPECT_EQ(Json(int64_t{1} << 62).text(), "4611686018427387904");
  EXPECT_EQ(Json(0.25).text(), "0.25");
  EXPECT_EQ(Json(absl::Milliseconds(1500)).text(), "1.5");
  EXPECT_EQ(Json("a \"b\" \\ \n\x01 µ").text(), "\"a \\\"b\\\" \\\\ \\u000a\\u0001 µ\"");
}

TEST(Json, NumbersAreReadBackAsTheyWere) { EXPECT_EQ(std::stod(Json(0.1).text()), 0.1); }

TEST(Json, HasNoWordForWhatIsNotFinite) {
  EXPECT_EQ(Json(std::numeric_limits<double>::quiet_NaN()).text(), "null");
  EXPECT_EQ(Json(-std::numeric_limits<double>::infinity()).text(), "null");
}

TEST(Json, ObjectsAndLists) {
  EXPECT_EQ(Json::Object({{"a", 1}, {"b", Json::List({Json(), "x"})}}).text(),
            "{\"a\": 1, \"b\": [null, \"x\"]}");
  EXPECT_EQ(Json::Object({}).text(), "{}");
}

}  // namespace
}  // namespace lossd
