#ifndef SERVER_VERSION_H_
#define SERVER_VERSION_H_

#include <string>

namespace lossd {

// What this program is: "0.1.0 (commit 0123456789ab, LibTorch 2.11.0, avx2, without CUDA)". The
// instruction set is the best that this processor has.
std::string VersionInWords();

}  // namespace lossd

#endif  // SERVER_VERSION_H_
