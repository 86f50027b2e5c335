#ifndef TESTS_ORACLE_MALIS_ORACLE_H_
#define TESTS_ORACLE_MALIS_ORACLE_H_

#include <cstdint>
#include <vector>

#include "lossd/malis/malis.h"

namespace lossd {

// What MalisCounts must give, computed as slowly and plainly as the definition reads: all edges in
// one sorted list, a full histogram of labels for every set.
std::vector<uint64_t> OracleMalisCounts(const MalisSample& sample, MalisPass pass);

// What MalisWeights must give, from the counts.
std::vector<double> OracleMalisWeights(const MalisSample& sample);

// What ConnectedComponents must give, by flood fill.
std::vector<uint32_t> OracleComponents(const MalisSample& sample);

}  // namespace lossd

#endif  // TESTS_ORACLE_MALIS_ORACLE_H_
