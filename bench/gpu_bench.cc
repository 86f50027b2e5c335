// Measures MALIS and whole requests on a GPU.
//
//   gpu_bench [segmentation.npy [sizes | inputs | requests | losses | once]]
//
// The segmentation is that of malis_bench. "once" computes one batch of two at 128³, for profilers.
// Prints Markdown tables; see docs/gpu.md.

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/malis_data.h"
#include "bench/measure.h"
#include "bench/read_segmentation.h"
#include "lossd/base/task_pool.h"
#include "lossd/base/workspace.h"
#include "lossd/compute/gpu_batch.h"
#include "lossd/compute/orchestrator.h"
#include "lossd/device/cached_memory.h"
#include "lossd/device/transfer.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/loss.h"
#include "lossd/losses/overlap/soft_cldice.h"
#include "lossd/losses/registry.h"
#include "lossd/malis/cuda/malis.h"
#include "lossd/malis/malis.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

// An array of the device.
template <typename T>
class OnDevice {
 public:
  OnDevice(CachedMemory& memory, const std::vector<T>& values) : array_(memory, values.size()) {
    if (!values.empty()) {
      C10_CUDA_CHECK(cudaMemcpy(array_.data(), values.data(), values.size() * sizeof(T),
                                cudaMemcpyHostToDevice));
      C10_CUDA_CHECK(cudaDeviceSynchronize());
    }
  }
  T* data() const { return array_.data(); }
  std::vector<T> Values() const {
    std::vector<T> values(array_.size());
    C10_CUDA_CHECK(cudaMemcpy(values.data(), array_.data(), values.size() * sizeof(T),
                              cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  flat::Array<T> array_;
};

template <typename T>
std::vector<T> Repeated(const std::vector<T>& values, int64_t times) {
  std::vector<T> all;
  for (int64_t i = 0; i < times; ++i) all.insert(all.end(), values.begin(), values.end());
  return all;
}

// `samples` times the same volume.
class DeviceBatch {
 public:
  DeviceBatch(CachedMemory& memory, const MalisVolume& volume, int64_t samples)
      : neighborhood_(volume.neighborhood),
        affinity_(memory, Repeated(volume.affinity, samples)),
        positive_(memory, Repeated(volume.positive, samples)),
        known_(memory, Repeated(volume.known, samples)),
        labels_(memory, Repeated(volume.labels, samples)),
        weights_(memory, std::vector<float>(volume.affinity.size() * samples)),
        pairs_(memory, std::vector<uint64_t>(2)),
        batch_{.samples = samples,
               .shape = volume.shape,
               .neighborhood = neighborhood_,
               .affinity = affinity_.data(),
               .positive = positive_.data(),
               .known = known_.data(),
               .labels = labels_.data()} {}

  void Compute(const flat::Device& device) const {
    C10_CUDA_CHECK(flat::WeightsOnDevice(device, batch_, weights_.data(), pairs_.data()).error);
    C10_CUDA_CHECK(cudaStreamSynchronize(device.stream));
  }

  std::vector<float> Weights() const { return weights_.Values(); }

 private:
  std::vector<Offset> neighborhood_;
  OnDevice<float> affinity_;
  OnDevice<uint8_t> positive_;
  OnDevice<uint8_t> known_;
  OnDevice<uint32_t> labels_;
  OnDevice<float> weights_;
  OnDevice<uint64_t> pairs_;
  flat::Batch batch_;
};

class Bench {
 public:
  explicit Bench(c10::cuda::CUDAStream stream)
      : memory_(stream),
        device_{
            .stream = stream, .landing = landing_.data_ptr(), .memory = memory_, .cancelled = {}} {}

  // The median of many runs, in milliseconds.
  double Time(const MalisVolume& volume, int64_t samples) {
    const DeviceBatch batch(memory_, volume, samples);
    for (int i = 0; i < 3; ++i) batch.Compute(device_);
    std::vector<double> times;
    double total = 0;
    for (int i = 0; i < 30 && total < 1000; ++i) {
      times.push_back(Milliseconds([&] { batch.Compute(device_); }));
      total += times.back();
    }
    CheckWeights(batch, volume, samples);
    return Median(times);
  }

  void Once(const MalisVolume& volume, int64_t samples) {
    DeviceBatch(memory_, volume, samples).Compute(device_);
  }

 private:
  // Nothing is measured that is not the CPU engine's, bit for bit.
  static void CheckWeights(const DeviceBatch& batch, const MalisVolume& volume, int64_t samples) {
    TaskPool pool(4);
    Workspace workspace;
    std::vector<float> weights(volume.affinity.size());
    const absl::Span<float> span = absl::MakeSpan(weights);
    if (!MalisWeights({volume.Sample()}, pool, workspace, {&span, 1}).ok() ||
        batch.Weights() != Repeated(weights, samples)) {
      std::fprintf(stderr, "weights are not the CPU engine's\n");
      std::exit(1);
    }
  }

  CachedMemory memory_;
  const at::Tensor landing_ =
      at::empty({flat::kLandingBytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  flat::Device device_;
};

MalisVolume Typical(const Segmentation& segmentation, const std::vector<Offset>& neighborhood) {
  return MakeVolume(Erode(segmentation), neighborhood, Prediction::kHalfTrained, 1);
}

// A row whose affinities rise: what comes first in order is as long a path as can be.
MalisVolume Ramp(int64_t length) {
  MalisVolume ramp = {.shape = {.z = 1, .y = 1, .x = length},
                      .neighborhood = {{0, 0, 1}},
                      .affinity = {},
                      .positive = {},
                      .labels = {}};
  const auto size = static_cast<size_t>(length);
  for (size_t i = 0; i < size; ++i) {
    ramp.affinity.push_back(static_cast<float>(i) / static_cast<float>(size));
  }
  ramp.positive.assign(size, 1);
  ramp.labels.assign(size, 1);
  return ramp;
}

// One object that goes to and fro through planes of rows: a path as long as the volume is large.
MalisVolume Snake(MalisVolume volume) {
  const auto [z, y, x] = volume.shape;
  std::fill(volume.labels.begin(), volume.labels.end(), 1U);
  std::fill(volume.positive.begin(), volume.positive.end(), uint8_t{0});
  for (int64_t v = 0; v < volume.shape.voxels(); ++v) {
    const int64_t row = v / x;
    const bool turns = v % x == (row % 2 == 1 ? x - 1 : 0);
    volume.positive[v] = turns && row % y == 0 && row > 0 ? 1 : 0;
    volume.positive[z * y * x + v] = turns && row % y != 0 ? 1 : 0;
    volume.positive[2 * z * y * x + v] = v % x != 0 ? 1 : 0;
  }
  return volume;
}

void Print(absl::string_view name, int64_t samples, const MalisVolume& volume, double ms) {
  std::printf("| %s | %ld | %.2f | %.2f |\n", std::string(name).c_str(), samples, ms,
              1e6 * ms / static_cast<double>(samples * volume.shape.voxels()));
  std::fflush(stdout);
}

// [samples, …] of one sample.
template <typename T>
at::Tensor TensorOf(const std::vector<T>& values, at::IntArrayRef sizes, at::ScalarType type,
                    int64_t samples) {
  const at::Tensor one = at::from_blob(const_cast<T*>(values.data()), sizes, type);
  std::vector<int64_t> repeats(sizes.size() + 1, 1);
  repeats[0] = samples;
  return one.unsqueeze(0).repeat(repeats);
}

// What a trainer sends of two samples like this one.
Batch RequestOf(const MalisVolume& volume) {
  constexpr int64_t kSamples = 2;
  const auto [z, y, x] = volume.shape;
  const auto channels = static_cast<int64_t>(volume.neighborhood.size());
  Batch batch;
  batch.predictions = {
      {"output", TensorOf(volume.affinity, {channels, z, y, x}, at::kFloat, kSamples).logit_()}};
  batch.labels = TensorOf(volume.positive, {channels, z, y, x}, at::kByte, kSamples);
  batch.gt_seg = TensorOf(volume.labels, {z, y, x}, at::kInt, kSamples);
  return batch;
}

// Whole requests without the wire: from the host's memory and back.
void PrintRequests(const MalisVolume& volume, const at::Device& gpu) {
  std::printf("\n| plan, batch of 2 | request ms | without copies ms |\n| --- | --- | --- |\n");
  const Batch batch = RequestOf(volume);
  TaskPool pool(8);
  const Context context(pool);
  Batch there = batch;
  there.predictions[0].tensor = batch.predictions[0].tensor.to(gpu);
  there.labels = batch.labels.to(gpu);
  there.gt_seg = batch.gt_seg.to(gpu);
  for (const char* const losses :
       {"{function: PerChannelBCEWithLogitsLoss}", "{function: DiceLoss, kwargs: {sigmoid: true}}",
        "{function: MalisLoss, kwargs: {reduction: sum}}",
        "{function: PerChannelBCEWithLogitsLoss}, {function: DiceLoss, kwargs: {sigmoid: true}}, "
        "{function: MalisLoss, kwargs: {reduction: sum}}"}) {
    const absl::StatusOr<Plan> plan = ReadPlan(absl::StrCat("[", losses, "]"));
    const auto orchestrator = Orchestrator::Create(*plan);
    const absl::StatusOr<Schedule> schedule = (*orchestrator)->Prepare(batch);
    const auto median = [&](const auto& compute) {
      std::vector<double> times;
      for (int i = 0; i < 25; ++i) {
        times.push_back(Milliseconds([&] {
          if (!compute().ok()) std::abort();
          WaitForGpu(gpu);
        }));
      }
      return Median({times.begin() + 5, times.end()});
    };
    const double whole =
        median([&] { return ComputeOnGpu(**orchestrator, *schedule, batch, gpu, context); });
    const double there_alone =
        median([&] { return (*orchestrator)->Compute(*schedule, there, context.OnGpu()); });
    std::printf("| %s | %.2f | %.2f |\n", losses, whole, there_alone);
    std::fflush(stdout);
  }
  std::printf("\n| copy, 50 MB, threads | GB/s |\n| --- | --- |\n");
  const at::Tensor& tensor = batch.predictions[0].tensor;
  const auto print = [&](const char* what, int threads, const auto& copy) {
    for (int i = 0; i < 3; ++i) copy();
    const double ms = Milliseconds([&] {
      for (int i = 0; i < 10; ++i) copy();
    });
    std::printf("| %s, %d | %.1f |\n", what, threads,
                1e-5 * static_cast<double>(tensor.nbytes()) / ms);
  };
  for (const int threads : {1, 8}) {
    TaskPool some(threads);
    print("to the GPU", threads, [&] {
      ToGpu(tensor, gpu, some);
      WaitForGpu(gpu);
    });
  }
  print("to the GPU, by LibTorch", 1, [&] { tensor.to(gpu); });
  const at::Tensor on_gpu = tensor.to(gpu);
  print("to the host", 1, [&] {
    StartToHost(on_gpu);
    WaitForGpu(gpu);
  });
}

struct TimeAndPeak {
  double milliseconds;
  double megabytes;  // At most, beside what was there before.
};

TimeAndPeak Measure(const at::Device& gpu, const std::function<void()>& compute) {
  const auto stats = [] {
    return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0];
  };
  c10::cuda::CUDACachingAllocator::resetPeakStats(0);
  const int64_t before = stats().current;
  std::vector<double> times;
  for (int i = 0; i < 8; ++i) {
    times.push_back(Milliseconds([&] {
      compute();
      WaitForGpu(gpu);
    }));
  }
  return {.milliseconds = Median({times.begin() + 3, times.end()}),
          .megabytes = 1e-6 * static_cast<double>(stats().peak - before)};
}

// Each loss of the registry with its defaults, but for sigmoids: value and gradient of predictions
// [2, 3, 128, 128, 128] in float32 that are on the GPU; and the same by its LibTorch expression,
// where it has one.
void PrintLosses(const at::Device& gpu) {
  std::printf(
      "\n| loss | ms | peak MB | expression ms | peak MB |\n| --- | --- | --- | --- | --- |\n");
  const std::vector<int64_t> sizes = {2, 3, 128, 128, 128};
  const std::vector<int64_t> one_channel = {2, 1, 128, 128, 128};
  const at::TensorOptions there = at::TensorOptions(at::kFloat).device(gpu);
  TaskPool pool(2);
  const Context context = Context(pool).OnGpu();
  for (const LossConfig& config : AllLosses()) {
    const LossTraits& traits = config.traits();
    LossInputs inputs = {.pred = at::randn(sizes, there)};
    if (traits.name == SoftClDice::kTraits.name) inputs.pred.sigmoid_();
    if (traits.call_kind == CallKind::kPredPred) inputs.pred2 = at::randn(sizes, there);
    if (traits.name == "GANLoss") {
      inputs.target = at::ones({1}, there);
    } else if (traits.target_kind == TargetKind::kClassIndex) {
      inputs.target = at::rand(one_channel, there).gt(0.5).to(at::kLong);
    } else if (traits.target_kind == TargetKind::kDense) {
      inputs.target = at::rand(sizes, there).gt(0.3).to(at::kFloat);
    }
    inputs.gradient = {.into = at::empty(sizes, there)};
    if (inputs.pred2.defined()) inputs.gradient2 = {.into = at::empty(sizes, there)};
    const std::shared_ptr<const Loss> loss = config.Make();
    const TimeAndPeak own = Measure(gpu, [&] {
      const auto result = loss->Compute(inputs, context);
      if (!result.ok()) std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    });
    std::printf("| %s | %.2f | %.0f |", std::string(traits.name).c_str(), own.milliseconds,
                own.megabytes);
    if (const auto* const written = dynamic_cast<const AutogradLoss*>(loss.get())) {
      const TimeAndPeak expression = Measure(gpu, [&] {
        const LossInputs leaves = Leaves(inputs);
        const absl::StatusOr<at::Tensor> value = written->Expression(leaves);
        if (!value.ok()) std::abort();
        Differentiate(*value, at::ones({}, value->options().requires_grad(false)), leaves);
      });
      std::printf(" %.2f | %.0f |\n", expression.milliseconds, expression.megabytes);
    } else {
      std::printf(" | |\n");
    }
    std::fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  const absl::string_view only = argc > 2 ? argv[2] : "";
  const auto wanted = [&](absl::string_view part) { return only.empty() || only == part; };
  const Segmentation whole = SegmentationOfArguments(argc, argv);
  at::globalContext().lazyInitDevice(at::kCUDA);
  const c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();
  const c10::cuda::CUDAStreamGuard guard(stream);
  Bench bench(stream);
  const Segmentation crop = Crop(whole, {}, Cube(128));
  if (only == "once") {
    bench.Once(Typical(crop, NearestNeighborhood()), 2);
    return 0;
  }
  cudaDeviceProp properties = {};
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s\n", properties.name);
  const auto print_head = [] {
    std::printf("\n| MALIS, both passes | batch | ms | ns a voxel |\n| --- | --- | --- | --- |\n");
  };
  if (wanted("sizes")) {
    print_head();
    for (const int64_t side : {32, 64, 128, 256}) {
      const MalisVolume volume = Typical(Crop(whole, {}, Cube(side)), NearestNeighborhood());
      for (const int64_t samples : {1, 2}) {
        Print("3 offsets, " + std::to_string(side) + "³", samples, volume,
              bench.Time(volume, samples));
      }
    }
    const MalisVolume volume = Typical(crop, LongRangeNeighborhood());
    Print("12 offsets, 128³", 2, volume, bench.Time(volume, 2));
    const MalisVolume ramp = Ramp(1 << 22);
    Print("a ramp, 1 × 1 × 2²²", 1, ramp, bench.Time(ramp, 1));
    const MalisVolume snake = Snake(Typical(crop, NearestNeighborhood()));
    Print("a snake, 128³", 1, snake, bench.Time(snake, 1));
  }
  if (wanted("requests")) {
    PrintRequests(Typical(crop, NearestNeighborhood()), at::Device(at::kCUDA, 0));
  }
  if (wanted("losses")) PrintLosses(at::Device(at::kCUDA, 0));
  if (wanted("inputs")) {
    print_head();
    ForEachInput(crop, [&](absl::string_view name, const MalisVolume& volume) {
      Print(name, 2, volume, bench.Time(volume, 2));
    });
  }
  return 0;
}

}  // namespace
}  // namespace lossd

int main(int argc, char** argv) { return lossd::Main(argc, argv); }
