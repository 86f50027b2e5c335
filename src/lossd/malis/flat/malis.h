#ifndef LOSSD_MALIS_FLAT_MALIS_H_
#define LOSSD_MALIS_FLAT_MALIS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <vector>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/algorithm.h"
#include "lossd/malis/flat/atomics.h"
#include "lossd/malis/flat/batch.h"
#include "lossd/malis/flat/edges.h"
#include "lossd/malis/flat/loops.h"
#include "lossd/malis/grid.h"
#include "lossd/malis/malis_pass.h"

// MalisCounts and MalisWeights of malis.h, bit for bit, for batches and on any form of loops.
namespace lossd::flat {

// Bounds of the affinities of a batch.
struct AffinityRange {
  uint64_t first_nan = kNever;  // Its place; kNever: there is none.
  uint32_t below_zero = 0;
  uint32_t above_one = 0;
};

template <typename Loops>
AffinityRange FindRange(Loops& loops, const float* affinity, uint32_t size) {
  const Array<AffinityRange> found(loops.memory(), 1);
  AffinityRange* const range = found.data();
  loops.For(1, [=] LOSSD_LAMBDA(uint32_t) { *range = {}; });
  loops.For(size, [=] LOSSD_LAMBDA(uint32_t i) {
    const float a = affinity[i];
    if (a != a) Min(&range->first_nan, i);
    if (a < 0 && Load(&range->below_zero) == 0) Store(&range->below_zero, 1U);
    if (a > 1 && Load(&range->above_one) == 0) Store(&range->above_one, 1U);
  });
  return loops.Fetch(range);
}

// Channels of a neighbourhood, as loops read them.
template <typename Loops>
Array<Channel> UploadChannels(Loops& loops, const Batch& batch) {
  std::vector<Channel> channels;
  for (const Offset& offset : batch.neighborhood) {
    const EdgeBox box = EdgesOf(batch.shape, offset);
    channels.push_back(box.empty() ? Channel{}
                                   : Channel{.z = static_cast<uint32_t>(offset.z),
                                             .y = static_cast<uint32_t>(offset.y),
                                             .x = static_cast<uint32_t>(offset.x),
                                             .stride = static_cast<uint32_t>(box.stride)});
  }
  Array<Channel> uploaded(loops.memory(), channels.size());
  loops.Upload(channels.data(), channels.size(), uploaded.data());
  return uploaded;
}

// How far two steps lead at most along an axis of the volume.
inline uint32_t FarthestStep(const Batch& batch, int64_t Offset::* axis) {
  uint64_t farthest = 0;
  for (const Offset& offset : batch.neighborhood) {
    if (EdgesOf(batch.shape, offset).empty()) continue;
    farthest = std::max(farthest, static_cast<uint64_t>(std::abs(offset.*axis)));
  }
  return static_cast<uint32_t>(2 * farthest);
}

// Calls count(edges, labels) for each of `passes`.
template <typename Loops, typename Count>
void ForPasses(Loops& loops, const Batch& batch, const AffinityRange& range,
               std::span<const MalisPass> passes, const Count& count) {
  const auto volume = static_cast<uint32_t>(batch.shape.voxels());
  const Array<Channel> channels = UploadChannels(loops, batch);
  Edges edges = {.voxels = static_cast<uint32_t>(batch.samples) * volume,
                 .volume = volume,
                 .z = static_cast<uint32_t>(batch.shape.z),
                 .y = static_cast<uint32_t>(batch.shape.y),
                 .x = static_cast<uint32_t>(batch.shape.x),
                 .channels = static_cast<uint32_t>(batch.neighborhood.size()),
                 .channel = channels.data(),
                 .affinity = batch.affinity,
                 .positive = batch.positive,
                 .known = batch.known,
                 .negative = false,
                 .far_z = FarthestStep(batch, &Offset::z),
                 .far_y = FarthestStep(batch, &Offset::y),
                 .far_x = FarthestStep(batch, &Offset::x),
                 .contract = false,
                 .drop = false};
  Array<uint32_t> components;
  Labels labels = {.of_voxel = batch.labels, .end = uint64_t{1} << 32};
  if (labels.of_voxel == nullptr) {
    components = ComponentLabels(loops, edges);
    labels = {.of_voxel = components.data(), .end = uint64_t{edges.voxels} + 1};
  }
  for (const MalisPass pass : passes) {
    edges.negative = pass == MalisPass::kNegative;
    edges.contract = edges.negative && range.above_one == 0;
    edges.drop = !edges.negative && range.below_zero == 0;
    count(edges, labels);
  }
}

inline int64_t EdgesOfSample(const Batch& batch) {
  return static_cast<int64_t>(batch.neighborhood.size()) * batch.shape.voxels();
}

// A batch in parts that are computed at once, each of at least one sample: of fewer than 2³¹ edges,
// for these are numbered, and of few enough samples for each to have sums of its own. No part where
// there are no edges.
inline std::vector<Batch> Parts(const Batch& batch, int64_t most_edges = (int64_t{1} << 31) - 1) {
  constexpr int64_t kMostSamples = 1 << 12;
  std::vector<Batch> parts;
  const int64_t edges = EdgesOfSample(batch);
  if (edges == 0) return parts;
  const int64_t step = std::clamp<int64_t>(most_edges / edges, 1, kMostSamples);
  for (int64_t s = 0; s < batch.samples; s += step) {
    Batch& part = parts.emplace_back(batch);
    part.samples = std::min(step, batch.samples - s);
    part.affinity += s * edges;
    part.positive += s * edges;
    if (part.known != nullptr) part.known += s * edges;
    if (part.labels != nullptr) part.labels += s * batch.shape.voxels();
  }
  return parts;
}

// Scratch memory that the arrays of a batch take at most, in bytes.
inline int64_t ScratchBytes(const Batch& batch) {
  const auto channels = static_cast<int64_t>(batch.neighborhood.size());
  // Sums of samples, channels, and arrays that are longer by one.
  const int64_t of_sample =
      2 * Sink::kSums * int64_t{sizeof(uint64_t)} + 2 * int64_t{sizeof(float)};
  const int64_t of_batch = channels * int64_t{sizeof(Channel)} + 64;
  const std::vector<Batch> parts = Parts(batch);
  const int64_t samples = parts.empty() ? 0 : parts.front().samples;
  return samples * (ScratchBytesOfVoxel(channels) * batch.shape.voxels() + of_sample) + of_batch;
}

// The counts of one pass: [B, C, Z, Y, X], overwritten. Returns the place of the first NaN among
// the affinities, if any. The counts are unspecified then, and when the loops have stopped.
template <typename Loops>
std::optional<int64_t> Counts(Loops& loops, const Batch& batch, MalisPass pass, uint64_t* counts) {
  int64_t done = 0;
  for (const Batch& part : Parts(batch)) {
    const auto size = static_cast<uint32_t>(part.samples * EdgesOfSample(part));
    const AffinityRange range = FindRange(loops, part.affinity, size);
    if (range.first_nan != kNever) return done + static_cast<int64_t>(range.first_nan);
    uint64_t* const out = counts + done;
    loops.For(size, [=] LOSSD_LAMBDA(uint32_t i) { out[i] = 0; });
    ForPasses(loops, part, range, {&pass, 1}, [&](const Edges& edges, const Labels& labels) {
      CountPass(loops, edges, labels, {.counts = out, .weights = nullptr, .sums = nullptr});
    });
    done += size;
  }
  return std::nullopt;
}

// The weights of both passes, likewise. `pairs` is set to the sums of the counts, over all samples,
// of the negative pass and of the positive one.
template <typename Loops>
std::optional<int64_t> Weights(Loops& loops, const Batch& batch, float* weights, uint64_t* pairs) {
  int64_t done = 0;
  loops.For(2, [=] LOSSD_LAMBDA(uint32_t i) { pairs[i] = 0; });
  for (const Batch& part : Parts(batch)) {
    const auto sample_size = static_cast<uint32_t>(EdgesOfSample(part));
    const auto samples = static_cast<uint32_t>(part.samples);
    const uint32_t size = samples * sample_size;
    const AffinityRange range = FindRange(loops, part.affinity, size);
    if (range.first_nan != kNever) return done + static_cast<int64_t>(range.first_nan);
    // Of the negative pass and of the positive one.
    const Array<uint64_t> both_sums(loops.memory(), size_t{2} * samples * Sink::kSums);
    const Array<float> both_scales(loops.memory(), size_t{2} * samples);
    uint64_t* const sums = both_sums.data();
    float* const scales = both_scales.data();
    float* const out = weights + done;
    loops.For(2 * samples * Sink::kSums, [=] LOSSD_LAMBDA(uint32_t i) { sums[i] = 0; });
    loops.For(size, [=] LOSSD_LAMBDA(uint32_t i) { out[i] = 0; });
    constexpr MalisPass kBoth[] = {MalisPass::kNegative, MalisPass::kPositive};
    // An edge counts in the pass of its own class only: both write to one array.
    ForPasses(loops, part, range, kBoth, [&](const Edges& edges, const Labels& labels) {
      uint64_t* const of_pass = edges.negative ? sums : sums + samples * Sink::kSums;
      CountPass(loops, edges, labels, {.counts = nullptr, .weights = out, .sums = of_pass});
    });
    loops.For(2 * samples, [=] LOSSD_LAMBDA(uint32_t i) {
      uint64_t sum = 0;
      for (uint32_t k = 0; k < Sink::kSums; ++k) sum += sums[i * Sink::kSums + k];
      Add(pairs + i / samples, sum);
      scales[i] = sum == 0 ? 0.0F : static_cast<float>(1.0 / static_cast<double>(sum));
    });
    const uint8_t* const positive = part.positive;
    loops.For(size, [=] LOSSD_LAMBDA(uint32_t i) {
      out[i] *= scales[(positive[i] != 0 ? samples : 0) + i / sample_size];
    });
    done += size;
  }
  return std::nullopt;
}

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_MALIS_H_
