#include "lossd/malis/malis.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/malis/components.h"
#include "lossd/malis/cpu/block_contraction.h"
#include "lossd/malis/cpu/count_sink.h"
#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/cpu/edge_sort.h"
#include "lossd/malis/cpu/spanning_forest.h"

namespace lossd {
namespace {

absl::Status CheckSize(absl::string_view field, size_t given, size_t expected) {
  if (given == expected) return absl::OkStatus();
  return FieldError(field, absl::StrCat(given, " elements"), absl::StrCat(expected));
}

constexpr size_t kMaxChannels = 65536;

// Elements of an array that a task passes over at a time.
constexpr int64_t kGrain = 1 << 18;

absl::Status Check(const MalisSample& sample) {
  const GridShape& shape = sample.shape;
  if (shape.z < 0 || shape.y < 0 || shape.x < 0) {
    return FieldError("shape", absl::StrCat(shape.z, " × ", shape.y, " × ", shape.x),
                      "no negative extent");
  }
  // Extents come from outside: their product may overflow, even where one of them is 0.
  constexpr uint64_t kLimit = uint64_t{1} << 31;
  uint64_t bound = std::max<uint64_t>(1, sample.neighborhood.size());
  for (const int64_t extent : {shape.z, shape.y, shape.x}) {
    const auto length = static_cast<uint64_t>(std::max<int64_t>(1, extent));
    if (length >= kLimit || bound * length >= kLimit) {
      return FieldError("shape",
                        absl::StrCat(sample.neighborhood.size(), " × ", shape.z, " × ", shape.y,
                                     " × ", shape.x, " edges"),
                        "fewer than 2^31");
    }
    bound *= length;
  }
  if (sample.neighborhood.size() > kMaxChannels) {
    return FieldError("neighborhood", absl::StrCat(sample.neighborhood.size(), " offsets"),
                      absl::StrCat("at most ", kMaxChannels));
  }
  const size_t size = sample.neighborhood.size() * static_cast<size_t>(shape.voxels());
  if (absl::Status status = CheckSize("affinity", sample.affinity.size(), size); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckSize("positive", sample.positive.size(), size); !status.ok()) {
    return status;
  }
  if (!sample.known.empty()) {
    if (absl::Status status = CheckSize("known", sample.known.size(), size); !status.ok()) {
      return status;
    }
  }
  if (!sample.labels.empty()) {
    const auto voxels = static_cast<size_t>(shape.voxels());
    if (absl::Status status = CheckSize("labels", sample.labels.size(), voxels); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// The sample's labels, or those of its components.
absl::Span<const uint32_t> LabelsOf(const MalisSample& sample, const Context& context,
                                    Workspace& workspace, Workspace::Buffer<uint32_t>& components) {
  if (!sample.labels.empty()) return sample.labels;
  components = Workspace::Buffer<uint32_t>(workspace, static_cast<size_t>(sample.shape.voxels()));
  const absl::Span<uint32_t> labels(components.data(), components.size());
  ConnectedComponents(sample.shape, sample.neighborhood, sample.positive, context, labels);
  return labels;
}

float Scale(uint64_t sum) {
  return sum == 0 ? 0.0F : static_cast<float>(1.0 / static_cast<double>(sum));
}

absl::Status SampleWeights(const MalisSample& sample, const Context& context, Workspace& workspace,
                           absl::Span<float> weights, MalisPairs& pairs) {
  absl::StatusOr<EdgeKeys> keys = BuildEdgeKeys(sample, context, workspace);
  if (!keys.ok()) return keys.status();
  Workspace::Buffer<uint32_t> components;
  const absl::Span<const uint32_t> labels = LabelsOf(sample, context, workspace, components);
  if (absl::Status status = context.status(); !status.ok()) return status;
  const auto size = static_cast<int64_t>(weights.size());
  context.ParallelFor(size, kGrain, [&](int64_t begin, int64_t end) {
    std::fill(weights.data() + begin, weights.data() + end, 0.0F);
  });
  // An edge counts in the pass of its own class only: both write to one array.
  CountSink negative(sample, MalisPass::kNegative, keys->shared, nullptr, weights.data());
  CountSink positive(sample, MalisPass::kPositive, keys->shared, nullptr, weights.data());
  const std::array<CountSink*, 2> sinks = {&negative, &positive};
  absl::StatusOr<std::array<ContractedGraph, 2>> graphs =
      ContractBlocks(sample, labels, *std::move(keys), sinks, context, workspace);
  if (!graphs.ok()) return graphs.status();
  context.ParallelFor(2, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      ContractedGraph& graph = (*graphs)[p];
      SortEdges(graph, context, workspace);
      JoinRest(graph, static_cast<MalisPass>(p), context, workspace, *sinks[p]);
    }
  });
  pairs = {.negative = negative.sum(), .positive = positive.sum()};
  const float scales[2] = {Scale(pairs.negative), Scale(pairs.positive)};
  context.ParallelFor(size, kGrain, [&](int64_t begin, int64_t end) {
    float* const out = weights.data();
    const uint8_t* const truth = sample.positive.data();
    for (int64_t e = begin; e < end; ++e) out[e] *= truth[e] != 0 ? scales[1] : scales[0];
  });
  return context.status();
}

}  // namespace

absl::Status MalisWeights(absl::Span<const MalisSample> samples, const Context& context,
                          Workspace& workspace, absl::Span<const absl::Span<float>> weights,
                          MalisPairs* pairs) {
  if (absl::Status status = CheckSize("weights", weights.size(), samples.size()); !status.ok()) {
    return status;
  }
  for (size_t s = 0; s < samples.size(); ++s) {
    if (absl::Status status = Check(samples[s]); !status.ok()) return status;
    if (absl::Status status = CheckSize("weights", weights[s].size(), samples[s].affinity.size());
        !status.ok()) {
      return status;
    }
  }
  std::vector<absl::Status> statuses(samples.size());
  std::vector<MalisPairs> of_samples(samples.size());
  context.ParallelFor(static_cast<int64_t>(samples.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      statuses[s] = SampleWeights(samples[s], context, workspace, weights[s], of_samples[s]);
    }
  });
  if (absl::Status status = context.status(); !status.ok()) return status;
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  if (pairs != nullptr) {
    *pairs = {};
    for (const MalisPairs& of_sample : of_samples) *pairs += of_sample;
  }
  return absl::OkStatus();
}

int64_t MalisScratchBytes(const GridShape& shape, int64_t channels) {
  constexpr int64_t kVoxel = 128;
  constexpr int64_t kEdge = 32;
  // Blocks that are worked on take as much for a small volume.
  constexpr int64_t kLeast = int64_t{4} << 20;
  return kLeast + (kVoxel + kEdge * channels) * shape.voxels();
}

absl::Status MalisCounts(const MalisSample& sample, MalisPass pass, const Context& context,
                         Workspace& workspace, absl::Span<uint64_t> counts) {
  if (absl::Status status = Check(sample); !status.ok()) return status;
  if (absl::Status status = CheckSize("counts", counts.size(), sample.affinity.size());
      !status.ok()) {
    return status;
  }
  absl::StatusOr<EdgeKeys> keys = BuildEdgeKeys(sample, context, workspace);
  if (!keys.ok()) return keys.status();
  Workspace::Buffer<uint32_t> components;
  const absl::Span<const uint32_t> labels = LabelsOf(sample, context, workspace, components);
  if (absl::Status status = context.status(); !status.ok()) return status;
  const auto size = static_cast<int64_t>(counts.size());
  context.ParallelFor(size, kGrain, [&](int64_t begin, int64_t end) {
    std::fill(counts.data() + begin, counts.data() + end, 0);
  });
  CountSink sink(sample, pass, keys->shared, counts.data(), nullptr);
  const int p = static_cast<int>(pass);
  std::array<CountSink*, 2> sinks = {};
  sinks[p] = &sink;
  absl::StatusOr<std::array<ContractedGraph, 2>> graphs =
      ContractBlocks(sample, labels, *std::move(keys), sinks, context, workspace);
  if (!graphs.ok()) return graphs.status();
  SortEdges((*graphs)[p], context, workspace);
  JoinRest((*graphs)[p], pass, context, workspace, sink);
  return context.status();
}

}  // namespace lossd
