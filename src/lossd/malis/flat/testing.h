#ifndef LOSSD_MALIS_FLAT_TESTING_H_
#define LOSSD_MALIS_FLAT_TESTING_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "lossd/malis/flat/batch.h"
#include "lossd/malis/flat/loops.h"
#include "lossd/malis/grid.h"
#include "lossd/malis/malis.h"
#include "lossd/malis/malis_pass.h"

// What tests of the flat algorithm need: the same tests run it on threads and on devices.
namespace lossd::flat {

// A batch that owns its arrays.
struct OwnedBatch {
  // `samples` like this one: the second has everything in reverse, the third moved by one, and so
  // on in turns.
  OwnedBatch(const MalisSample& sample, int64_t samples_of_it)
      : samples(samples_of_it), shape(sample.shape) {
    neighborhood.assign(sample.neighborhood.begin(), sample.neighborhood.end());
    for (int64_t s = 0; s < samples; ++s) {
      Append(sample.affinity, s, affinity);
      Append(sample.positive, s, positive);
      Append(sample.known, s, known);
      Append(sample.labels, s, labels);
    }
  }

  MalisSample Sample(int64_t s) const {
    return {.shape = shape,
            .neighborhood = neighborhood,
            .affinity = Of(affinity, s),
            .positive = Of(positive, s),
            .known = Of(known, s),
            .labels = Of(labels, s)};
  }

  // With the arrays where they are.
  Batch OnHost() const {
    return {.samples = samples,
            .shape = shape,
            .neighborhood = neighborhood,
            .affinity = affinity.data(),
            .positive = positive.data(),
            .known = known.empty() ? nullptr : known.data(),
            .labels = labels.empty() ? nullptr : labels.data()};
  }

  int64_t samples;
  GridShape shape;
  std::vector<Offset> neighborhood;
  std::vector<float> affinity;
  std::vector<uint8_t> positive;
  std::vector<uint8_t> known;
  std::vector<uint32_t> labels;

 private:
  template <typename T>
  static void Append(absl::Span<const T> values, int64_t s, std::vector<T>& to) {
    const size_t begin = to.size();
    to.insert(to.end(), values.begin(), values.end());
    const auto first = to.begin() + static_cast<ptrdiff_t>(begin);
    if (s % 2 == 1) std::reverse(first, to.end());
    if (s % 3 == 2 && !values.empty()) std::rotate(first, first + 1, to.end());
  }

  template <typename T>
  absl::Span<const T> Of(const std::vector<T>& values, int64_t s) const {
    const size_t size = values.size() / static_cast<size_t>(samples);
    return absl::MakeConstSpan(values).subspan(static_cast<size_t>(s) * size, size);
  }
};

// Memory that remembers how much of it was taken at once.
class MeasuredMemory final : public ScratchMemory {
 public:
  explicit MeasuredMemory(ScratchMemory& memory) : memory_(memory) {}

  void* Take(size_t bytes) override {
    taken_ += bytes;
    peak_ = std::max(peak_, taken_);
    return memory_.Take(bytes);
  }
  void Give(void* memory, size_t bytes) noexcept override {
    taken_ -= bytes;
    memory_.Give(memory, bytes);
  }

  size_t taken() const { return taken_; }
  size_t peak() const { return peak_; }

 private:
  ScratchMemory& memory_;
  size_t taken_ = 0;
  size_t peak_ = 0;
};

// Runs the algorithm somewhere.
class Runner {
 public:
  template <typename T>
  struct Result {
    std::optional<int64_t> nan;  // Of Counts and Weights in malis.h.
    std::vector<T> values;
    size_t scratch_bytes;              // The most that were taken at once.
    std::vector<uint64_t> pairs = {};  // Of Weights.
  };

  Runner() = default;
  virtual ~Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  virtual Result<uint64_t> CountsOf(const OwnedBatch& batch, MalisPass pass) = 0;
  virtual Result<float> WeightsOf(const OwnedBatch& batch) = 0;
};

// Where tests run: "1_thread" and "4_threads" of the host, or what LOSSD_TEST_DEVICE says:
// "cuda:0".
std::vector<std::string> Places();

// On one of them. A task of a thread takes `grain` indices: few, for threads to meet in small
// volumes. Null where there is no such device, and then why.
std::unique_ptr<Runner> MakeRunner(const std::string& place, int64_t grain, std::string& why_not);

// The same for devices, in builds with CUDA and without.
std::unique_ptr<Runner> MakeDeviceRunner(const std::string& device, std::string& why_not);

// The name of a test at a place.
std::string NameOf(const std::string& place);

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_TESTING_H_
