// NumPy's files: what is read is written and read again as the same.

#include <ATen/ATen.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/shared_memory/file_descriptor.h"
#include "lossd/tensor/npy.h"
#include "tests/fuzz/expect.h"

namespace lossd {
namespace {

// A file in memory, and its name.
struct MemoryFile {
  FileDescriptor file = FileDescriptor(memfd_create("npy", MFD_CLOEXEC));
  std::string path = absl::StrCat("/proc/self/fd/", file.get());
};

void Read(const uint8_t* data, size_t size) {
  const MemoryFile given;
  Expect(write(given.file.get(), data, size) == static_cast<ssize_t>(size), "there is memory");
  const absl::StatusOr<at::Tensor> tensor = ReadNpy(given.path);
  ExpectAnswerOrRefusal(tensor.status());
  if (!tensor.ok()) return;
  const MemoryFile copy;
  Expect(WriteNpy(copy.path, *tensor).ok(), "what was read can be written");
  const absl::StatusOr<at::Tensor> again = ReadNpy(copy.path);
  Expect(again.ok(), "what was written can be read");
  Expect(again->scalar_type() == tensor->scalar_type() && again->sizes() == tensor->sizes(),
         "it is of the same type and shape");
  const at::Tensor one = tensor->contiguous().view({-1}).view(at::kByte);
  const at::Tensor other = again->contiguous().view({-1}).view(at::kByte);
  Expect(at::equal(one, other), "it has the same bits");
}

}  // namespace
}  // namespace lossd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lossd::Read(data, size);
  return 0;
}
