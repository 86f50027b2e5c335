#include "lossctl/bench/concurrency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lossd/base/error.h"

namespace lossd {
namespace {

using testing::ElementsAre;

TEST(ReadConcurrencyTest, ReadsNumbersAndRanges) {
  EXPECT_THAT(*ReadConcurrency("4"), ElementsAre(4));
  EXPECT_THAT(*ReadConcurrency("2:4"), ElementsAre(2, 3, 4));
  EXPECT_THAT(*ReadConcurrency("1:8:3"), ElementsAre(1, 4, 7));
  EXPECT_THAT(*ReadConcurrency("5:5"), ElementsAre(5));
}

TEST(ReadConcurrencyTest, RefusesWhatIsNone) {
  for (const char* text : {"", "0", "1025", "x", "4:2", "1:", "1:2:0", "1:2:3:4", "1.5", "-1"}) {
    EXPECT_EQ(ErrorField(ReadConcurrency(text).status()), "--concurrency") << text;
  }
}

}  // namespace
}  // namespace lossd
