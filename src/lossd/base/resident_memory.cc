#include "lossd/base/resident_memory.h"

#include <malloc.h>

#include <fstream>
#include <limits>
#include <string>

namespace lossd {
namespace {

// The value of a line "VmRSS:      1234 kB".
int64_t StatusBytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == key && status >> kilobytes) return kilobytes * 1024;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

}  // namespace

int64_t ResidentBytes() { return StatusBytes("VmRSS:"); }

int64_t PeakResidentBytes(const std::function<void()>& body) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // Resets the high-water mark.
  const int64_t before = ResidentBytes();
  body();
  return StatusBytes("VmHWM:") - before;
}

}  // namespace lossd
