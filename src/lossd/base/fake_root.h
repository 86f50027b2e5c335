#ifndef LOSSD_BASE_FAKE_ROOT_H_
#define LOSSD_BASE_FAKE_ROOT_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lossd {

// For tests of what is read of the system: its files, in a folder that goes with this.
class FakeRoot {
 public:
  FakeRoot() { std::filesystem::create_directories(path_); }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void Write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }

 private:
  const std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / ("root_" + std::to_string(getpid()));
};

}  // namespace lossd

#endif  // LOSSD_BASE_FAKE_ROOT_H_
