#include "lossd/base/resident_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <string>
#include <utility>

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

// Of two numbers of pages, all and resident, quicker than the status is.
std::pair<int64_t, int64_t> PageBytes() {
  int64_t all = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  const int64_t page = sysconf(_SC_PAGESIZE);
  return {all * page, resident * page};
}

}  // namespace

int64_t ResidentBytes() { return PageBytes().second; }

int64_t AddressSpaceBytes() { return PageBytes().first; }

int64_t PeakResidentBytes(const std::function<void()>& body) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // Resets the high-water mark.
  const int64_t before = ResidentBytes();
  body();
  return StatusBytes("VmHWM:") - before;
}

}  // namespace lossd
