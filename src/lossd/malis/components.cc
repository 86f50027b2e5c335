#include "lossd/malis/components.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "lossd/base/instruction_sets.h"
#include "lossd/malis/cpu/concurrent_forest.h"
#include "lossd/malis/cpu/kernels.h"
#include "lossd/malis/cpu/row_bits.h"
#include "lossd/malis/cpu/voxel_runs.h"

namespace lossd {
namespace {

// Voxels that a task takes at a time, in whole rows.
constexpr int64_t kGrain = 1 << 15;

// The positive edges of a channel, by their later voxels: each leads so many rows and voxels of a
// row back.
struct Channel {
  int64_t rows_back;
  int64_t x_back;
  RowBits positive;

  // Whether they join voxels to those next to them in a row.
  bool MakesRuns() const { return rows_back == 0 && x_back == 1; }
};

// Adds the edges of the rows of the slice z.
void PackSlice(const GridShape& shape, const EdgeBox& box, const uint8_t* flags, int64_t z,
               Channel& channel) {
  // Flags lie at the voxel that the offset starts from.
  const int64_t rows = box.stride > 0 ? channel.rows_back : 0;
  const int64_t x = box.stride > 0 ? channel.x_back : 0;
  ForEachRow(shape, box, z, z + 1, [&](int64_t first, int64_t count) {
    channel.positive.Pack(first / shape.x + rows, first % shape.x + x, flags + first, count);
  });
}

std::vector<Channel> PackChannels(const GridShape& shape, absl::Span<const Offset> neighborhood,
                                  absl::Span<const uint8_t> positive, const Context& context) {
  std::vector<Channel> channels;
  for (size_t c = 0; c < neighborhood.size(); ++c) {
    const Offset& offset = neighborhood[c];
    const EdgeBox box = EdgesOf(shape, offset);
    if (box.empty()) continue;
    const int64_t sign = box.stride > 0 ? 1 : -1;
    Channel& channel =
        channels.emplace_back(Channel{.rows_back = sign * (offset.z * shape.y + offset.y),
                                      .x_back = sign * offset.x,
                                      .positive = RowBits(shape)});
    const uint8_t* const flags = positive.data() + static_cast<int64_t>(c) * shape.voxels();
    context.ParallelFor(
        shape.z, 1, [&](int64_t z, int64_t /*end*/) { PackSlice(shape, box, flags, z, channel); });
  }
  return channels;
}

// Which voxels of a row have an edge and are not joined to the voxel before.
void FindStarts(const std::vector<Channel>& channels, const RowBits& joined, int64_t row,
                int64_t rows, RowBits& starts) {
  for (int64_t k = 0; k < starts.words(); ++k) {
    uint64_t has_edge = 0;
    for (const Channel& channel : channels) {
      has_edge |= channel.positive.Word(row, k);
      const int64_t later = row + channel.rows_back;
      if (later < rows) has_edge |= channel.positive.From(later, 64 * k + channel.x_back);
    }
    starts.Word(row, k) = has_edge & ~joined.Word(row, k);
  }
}

// Joins the runs of rows to those that edges lead back to.
void JoinRows(const VoxelRuns& runs, const std::vector<Channel>& channels, int64_t begin,
              int64_t end, ConcurrentForest& forest) {
  const auto& kernels = CurrentKernels<MalisKernels>();
  std::vector<RunPair> pairs;
  for (int64_t row = begin; row < end; ++row) {
    for (const Channel& channel : channels) {
      if (channel.MakesRuns() || row < channel.rows_back) continue;
      pairs.resize(64 * channel.positive.words());
      const int64_t count = kernels.find_joins({.edges = channel.positive.Row(row),
                                                .from = runs.Row(row),
                                                .to = runs.Row(row - channel.rows_back),
                                                .x_back = channel.x_back},
                                               pairs.data());
      for (int64_t i = 0; i < count; ++i) forest.Join(pairs[i].from, pairs[i].to);
    }
  }
}

// The sets of a forest numbered 1, 2, … by their roots.
struct NumberedRoots {
  std::vector<uint32_t> numbers;  // By root; 0 elsewhere.
  uint32_t count;
};

NumberedRoots NumberRoots(const ConcurrentForest& forest, uint32_t size, const Context& context) {
  std::vector<uint32_t> numbers(size);
  std::vector<uint32_t> before((size + kGrain - 1) / kGrain + 1);
  const auto for_each_part = [&](const auto& body) {
    context.ParallelFor(size, kGrain, [&](int64_t begin, int64_t end) {
      body(static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
    });
  };
  for_each_part([&](uint32_t begin, uint32_t end) {
    uint32_t count = 0;
    for (uint32_t a = begin; a < end; ++a) count += forest.IsRoot(a) ? 1 : 0;
    before[begin / kGrain + 1] = count;
  });
  std::partial_sum(before.begin(), before.end(), before.begin());
  for_each_part([&](uint32_t begin, uint32_t end) {
    uint32_t number = before[begin / kGrain];
    for (uint32_t a = begin; a < end; ++a) {
      if (forest.IsRoot(a)) numbers[a] = ++number;
    }
  });
  return {.numbers = std::move(numbers), .count = before.back()};
}

}  // namespace

uint32_t ConnectedComponents(const GridShape& shape, absl::Span<const Offset> neighborhood,
                             absl::Span<const uint8_t> positive, const Context& context,
                             absl::Span<uint32_t> labels) {
  if (shape.voxels() == 0) return 0;
  const int64_t rows = shape.z * shape.y;
  const int64_t grain = std::max<int64_t>(kGrain / shape.x, 1);
  const auto for_each_row = [&](const auto& body) {
    context.ParallelFor(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) body(row);
    });
  };
  const std::vector<Channel> channels = PackChannels(shape, neighborhood, positive, context);
  RowBits joined(shape);
  for (const Channel& channel : channels) {
    if (channel.MakesRuns()) joined.Add(channel.positive);
  }
  RowBits starts(shape);
  for_each_row([&](int64_t row) { FindStarts(channels, joined, row, rows, starts); });
  if (context.Cancelled()) return 0;  // Not every voxel with an edge is in a run.
  const VoxelRuns runs(std::move(starts), std::move(joined), rows);

  ConcurrentForest forest(runs.count());
  context.ParallelFor(rows, grain, [&](int64_t begin, int64_t end) {
    JoinRows(runs, channels, begin, end, forest);
  });
  const NumberedRoots roots = NumberRoots(forest, runs.count(), context);
  for_each_row([&](int64_t row) {
    uint32_t* const out = labels.data() + row * shape.x;
    std::fill_n(out, shape.x, 0);
    runs.ForEach(row, [&](uint32_t run, int64_t begin, int64_t end) {
      std::fill(out + begin, out + end, roots.numbers[forest.Root(run)]);
    });
  });
  return roots.count;
}

}  // namespace lossd
