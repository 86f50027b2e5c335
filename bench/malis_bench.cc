// Measures the MALIS engine against the published algorithm, in one run and with the same flags.
//
//   malis_bench [segmentation.npy [reference | batch | span | parts | scaling | inputs]]
//
// The segmentation, integers [Z, Y, X] of at least 256³ voxels, stands for a training volume;
// without one, synthetic neurites do. Prints Markdown tables, last that of what the engine
// promises: see docs/malis.md.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "bench/malis_data.h"
#include "bench/read_segmentation.h"
#include "bench/reference_malis.h"
#include "lossd/base/instruction_sets.h"
#include "lossd/base/task_pool.h"
#include "lossd/malis/affinities.h"
#include "lossd/malis/components.h"
#include "lossd/malis/cpu/block_contraction.h"
#include "lossd/malis/cpu/count_sink.h"
#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/cpu/edge_sort.h"
#include "lossd/malis/cpu/pair_counting.h"
#include "lossd/malis/cpu/spanning_forest.h"
#include "lossd/malis/malis.h"

namespace lossd {
namespace {

double Now(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

// Best of several runs, in milliseconds. On one thread, time of the processor, so that a machine
// that does other things too is no matter; on several, time of the wall.
double Milliseconds(int threads, const std::function<void()>& body) {
  const clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
  double best = 1e300;
  double total = 0;
  for (int run = 0; (run < 3 || total < 1000) && total < 8000; ++run) {
    const double start = Now(clock);
    body();
    const double elapsed = Now(clock) - start;
    best = std::min(best, elapsed);
    total += elapsed;
  }
  return best;
}

// What the engine promises, and how far it holds in this run.
class Promises {
 public:
  void AtLeast(const std::string& what, double figure, double limit) {
    Add(what, figure, "≥", limit, figure >= limit);
  }
  void AtMost(const std::string& what, double figure, double limit) {
    Add(what, figure, "≤", limit, figure <= limit);
  }

  void Print() const {
    if (rows_.empty()) return;
    std::printf("\n| promise | measured | limit | |\n| --- | --- | --- | --- |\n");
    for (const std::string& row : rows_) std::printf("%s\n", row.c_str());
  }

 private:
  void Add(const std::string& what, double figure, const char* relation, double limit, bool kept) {
    rows_.push_back(absl::StrFormat("| %s | %.2f | %s %g | %s |", what, figure, relation, limit,
                                    kept ? "ok" : "MISSED"));
  }

  std::vector<std::string> rows_;
};

class Engine {
 public:
  double Time(const std::vector<const MalisVolume*>& volumes, int threads) {
    TaskPool pool(threads);
    std::vector<MalisSample> samples;
    std::vector<std::vector<float>> weights;
    std::vector<absl::Span<float>> spans;
    for (const MalisVolume* volume : volumes) {
      samples.push_back(volume->Sample());
      weights.emplace_back(volume->affinity.size());
    }
    for (std::vector<float>& w : weights) spans.push_back(absl::MakeSpan(w));
    return Milliseconds(threads, [&] {
      if (!MalisWeights(samples, pool, workspace_, spans).ok()) std::abort();
    });
  }

  double BytesPerVoxel(const MalisVolume& volume, int threads) {
    Workspace workspace;
    TaskPool pool(threads);
    std::vector<float> weights(volume.affinity.size());
    if (!MalisWeights({volume.Sample()}, pool, workspace, {absl::MakeSpan(weights)}).ok()) {
      std::abort();
    }
    return static_cast<double>(workspace.bytes()) / static_cast<double>(volume.shape.voxels());
  }

 private:
  Workspace workspace_;
};

double LargestShare(const Segmentation& segmentation) {
  absl::flat_hash_map<uint32_t, int64_t> sizes;
  int64_t largest = 0;
  for (const uint32_t label : segmentation.labels) largest = std::max(largest, ++sizes[label]);
  return static_cast<double>(largest) / static_cast<double>(segmentation.labels.size());
}

// The crops of a volume with the smallest and with the largest share of one object.
std::pair<Segmentation, Segmentation> NeuriteAndSomaCrops(const Segmentation& volume,
                                                          int64_t side) {
  std::pair<double, Segmentation> neurites = {2.0, {}};
  std::pair<double, Segmentation> soma = {-1.0, {}};
  const int64_t step = (volume.shape.x - side) / 2;
  for (int i = 0; i < 27; ++i) {
    Segmentation crop =
        Crop(volume, {.z = i / 9 * step, .y = i / 3 % 3 * step, .x = i % 3 * step}, Cube(side));
    const double share = LargestShare(crop);
    if (share < neurites.first) neurites = {share, crop};
    if (share > soma.first) soma = {share, std::move(crop)};
  }
  return {std::move(neurites.second), std::move(soma.second)};
}

struct NamedVolume {
  std::string name;
  MalisVolume volume;
};

// The bench measures nothing that is not the same: stops where the engine's counts are not the
// reference's, bit for bit.
void CheckCounts(const std::string& name, const MalisVolume& volume) {
  TaskPool pool(2);
  Workspace workspace;
  for (const MalisPass pass : {MalisPass::kNegative, MalisPass::kPositive}) {
    std::vector<uint64_t> counts(volume.affinity.size());
    if (!MalisCounts(volume.Sample(), pass, pool, workspace, absl::MakeSpan(counts)).ok() ||
        counts != ReferenceMalisCounts(volume.Sample(), pass)) {
      std::fprintf(stderr, "%s: counts are not the reference's\n", name.c_str());
      std::exit(1);
    }
  }
}

// How far more threads can help on one sample: all steps are parallel over rows, blocks or ranges
// of keys, but for the walk of one thread over what the blocks have left, and parts of the counting
// of pairs where sets have several labels.
void PrintWorkAndSpan(const std::vector<NamedVolume>& volumes) {
  std::printf(
      "\n| crop | work ms | edges a voxel left after blocks | serial walk ms, negative pass | "
      "positive pass | work / longer walk | pair counting ms, both passes |\n"
      "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (const auto& [name, volume] : volumes) {
    TaskPool pool(1);
    Workspace workspace;
    const MalisSample sample = volume.Sample();
    std::vector<float> weights(volume.affinity.size(), 0.0F);
    const double work = Milliseconds(1, [&] {
      if (!MalisWeights({sample}, pool, workspace, {absl::MakeSpan(weights)}).ok()) std::abort();
    });
    std::array<double, 2> walk = {1e300, 1e300};
    double counting = 1e300;
    double edges = 0;
    for (int run = 0; run < 3; ++run) {
      absl::StatusOr<EdgeKeys> keys = BuildEdgeKeys(sample, pool, workspace);
      if (!keys.ok()) std::abort();
      CountSink negative(sample, MalisPass::kNegative, keys->shared, nullptr, weights.data());
      CountSink positive(sample, MalisPass::kPositive, keys->shared, nullptr, weights.data());
      const std::array<CountSink*, 2> sinks = {&negative, &positive};
      absl::StatusOr<std::array<ContractedGraph, 2>> graphs =
          ContractBlocks(sample, sample.labels, *std::move(keys), sinks, pool, workspace);
      if (!graphs.ok()) std::abort();
      edges = 0;
      double counting_now = 0;
      for (const int p : {0, 1}) {
        ContractedGraph& graph = (*graphs)[p];
        SortEdges(graph, pool, workspace);
        edges += static_cast<double>(graph.edges.size());
        const double start = Now(CLOCK_PROCESS_CPUTIME_ID);
        WalkEdges(graph, static_cast<MalisPass>(p), pool, workspace);
        const double walked = Now(CLOCK_PROCESS_CPUTIME_ID);
        walk[p] = std::min(walk[p], walked - start);
        CountPairs(graph.forest, static_cast<MalisPass>(p), pool, workspace, *sinks[p]);
        counting_now += Now(CLOCK_PROCESS_CPUTIME_ID) - walked;
      }
      counting = std::min(counting, counting_now);
    }
    std::printf("| %s | %.1f | %.2f | %.1f | %.1f | %.1f | %.1f |\n", name.c_str(), work,
                edges / static_cast<double>(volume.shape.voxels()), walk[0], walk[1],
                work / std::max(walk[0], walk[1]), counting);
    std::fflush(stdout);
  }
}

void PrintAgainstReference(const std::vector<NamedVolume>& volumes, Engine& engine,
                           Promises& promises) {
  std::printf(
      "\n| crop, both passes | reference ms | engine ms, 1 thread | × | 2 threads | × |\n"
      "| --- | --- | --- | --- | --- | --- |\n");
  double least_one = 1e300;
  double least_two = 1e300;
  for (const auto& [name, volume] : volumes) {
    CheckCounts(name, volume);
    const double reference = Milliseconds(1, [&] { ReferenceMalisWeights(volume.Sample()); });
    const double one = engine.Time({&volume}, 1);
    const double two = engine.Time({&volume}, 2);
    std::printf("| %s | %.0f | %.1f | %.1f | %.1f | %.1f |\n", name.c_str(), reference, one,
                reference / one, two, reference / two);
    std::fflush(stdout);
    if (volume.shape.x < 128) continue;
    least_one = std::min(least_one, reference / one);
    least_two = std::min(least_two, reference / two);
  }
  promises.AtLeast("times faster than the reference, 128³, 1 thread, slowest crop", least_one, 15);
  promises.AtLeast("the same, 2 threads", least_two, 25);
}

void PrintInputs(const Segmentation& crop, Engine& engine, Promises& promises) {
  std::printf(
      "\n| input, 128³, 1 thread | engine ms | × typical | bytes a voxel |\n"
      "| --- | --- | --- | --- |\n");
  double typical = 0;
  double slowest = 0;
  const auto print = [&](absl::string_view name, const MalisVolume& input) {
    const double ms = engine.Time({&input}, 1);
    if (typical == 0) typical = ms;
    slowest = std::max(slowest, ms / typical);
    std::printf("| %s | %.1f | %.2f | %.1f |\n", std::string(name).c_str(), ms, ms / typical,
                engine.BytesPerVoxel(input, 1));
    std::fflush(stdout);
  };
  ForEachInput(crop, print);
  promises.AtMost("slowest input, times the typical one", slowest, 3);
}

// The volume in cubes of a side, the same voxels at every size, and what a voxel of them costs.
class Pieces {
 public:
  // Every `step`-th cube of `side` voxels along each axis.
  Pieces(const Segmentation& whole, int64_t side, std::vector<Offset> offsets, int64_t step)
      : side_(side), offsets_(std::move(offsets)) {
    for (int64_t z = 0; z + side <= whole.shape.z; z += side * step) {
      for (int64_t y = 0; y + side <= whole.shape.y; y += side * step) {
        for (int64_t x = 0; x + side <= whole.shape.x; x += side * step) {
          pieces_.push_back(MakeVolume(Erode(Crop(whole, {.z = z, .y = y, .x = x}, Cube(side))),
                                       offsets_, Prediction::kHalfTrained, 1));
        }
      }
    }
  }

  void Measure(Engine& engine) {
    std::vector<const MalisVolume*> volumes;
    for (const MalisVolume& piece : pieces_) volumes.push_back(&piece);
    const auto voxels = static_cast<double>(pieces_.size() * side_ * side_ * side_);
    time_ = std::min(time_, 1e6 * engine.Time(volumes, 1) / voxels);
    bytes_ = engine.BytesPerVoxel(pieces_[0], 2);
  }

  void Print() const {
    std::printf("| %ld³, %zu | %.1f | %.1f |\n", side_, offsets_.size(), time_, bytes_);
  }

  double time() const { return time_; }
  double bytes() const { return bytes_; }

 private:
  int64_t side_;
  std::vector<Offset> offsets_;
  std::vector<MalisVolume> pieces_;
  double time_ = std::numeric_limits<double>::infinity();  // Least so far, ns a voxel.
  double bytes_ = 0;                                       // A voxel.
};

void PrintScaling(const Segmentation& whole, Engine& engine, Promises& promises) {
  std::vector<Pieces> all;
  for (const int64_t side : {64, 128, 256}) all.emplace_back(whole, side, NearestNeighborhood(), 1);
  all.emplace_back(whole, 128, NearestNeighborhood(), 2);
  all.emplace_back(whole, 128, LongRangeNeighborhood(), 2);
  // In turns, as the speed of machines drifts.
  for (int round = 0; round < 3; ++round) {
    for (Pieces& pieces : all) pieces.Measure(engine);
  }
  std::printf(
      "\n| the volume in pieces of, offsets; 1 thread | engine ns a voxel | bytes a voxel |\n"
      "| --- | --- | --- |\n");
  for (const Pieces& pieces : all) pieces.Print();
  std::fflush(stdout);
  promises.AtMost("cost of a voxel at 256³, times that at 64³", all[2].time() / all[0].time(), 1.4);
  promises.AtMost("12 offsets, times the cost of 3", all[4].time() / all[3].time(), 4.5);
  promises.AtMost("extra memory with 3 offsets, bytes a voxel",
                  std::max({all[0].bytes(), all[1].bytes(), all[2].bytes()}), 48);
}

void PrintBatch(const std::vector<const MalisVolume*>& full,
                const std::vector<const MalisVolume*>& crops, Engine& engine, Promises& promises) {
  const double reference = Milliseconds(1, [&] {
    for (const MalisVolume* volume : crops) ReferenceMalisWeights(volume->Sample());
  });
  const double one = engine.Time(full, 1);
  std::printf(
      "\n| batch of 2 | ms |\n| --- | --- |\n| reference, 64³ | %.0f |\n"
      "| engine, 128³, 1 thread | %.1f |\n| engine, 128³, 2 threads | %.1f |\n",
      reference, one, engine.Time(full, 2));
  std::fflush(stdout);
  promises.AtMost("batch of 2 at 128³, 1 thread, times the reference's at 64³", one / reference, 1);
}

void PrintParts(const MalisVolume& volume) {
  TaskPool pool(1);
  std::vector<uint32_t> labels(volume.labels.size());
  std::vector<uint8_t> positive(volume.positive.size());
  const double millions = static_cast<double>(labels.size()) * 1e-6;
  const double components = Milliseconds(1, [&] {
    ConnectedComponents(volume.shape, volume.neighborhood, volume.positive, pool,
                        absl::MakeSpan(labels));
  });
  const double affinities = Milliseconds(1, [&] {
    AffinitiesFromLabels<uint32_t>(volume.shape, volume.neighborhood, volume.labels, pool,
                                   absl::MakeSpan(positive));
  });
  std::printf(
      "\n| 1 thread, a million voxels | ms |\n| --- | --- |\n| connected components | %.2f |\n"
      "| affinities from a segmentation | %.2f |\n",
      components / millions, affinities / millions);
}

int Main(int argc, char** argv) {
  const Segmentation whole = SegmentationOfArguments(argc, argv);
  const auto volume = [](const Segmentation& segmentation, uint32_t seed) {
    return MakeVolume(Erode(segmentation), NearestNeighborhood(), Prediction::kHalfTrained, seed);
  };
  const auto [neurites, soma] = NeuriteAndSomaCrops(whole, 128);
  const std::vector<NamedVolume> volumes = {
      {"neurites, 64³", volume(Crop(neurites, {}, Cube(64)), 1)},
      {"soma, 64³", volume(Crop(soma, {}, Cube(64)), 2)},
      {"neurites, 128³", volume(neurites, 1)},
      {"soma, 128³", volume(soma, 2)},
      {"corner, 128³", volume(Crop(whole, {}, Cube(128)), 3)},
  };
  Engine engine;
  const absl::string_view only = argc > 2 ? argv[2] : "";
  const auto wanted = [&](absl::string_view part) { return only.empty() || only == part; };
  std::printf("Vector code: %s\n", Word(CurrentInstructionSet()).c_str());
  Promises promises;
  if (wanted("reference")) PrintAgainstReference(volumes, engine, promises);
  if (wanted("batch")) {
    PrintBatch({&volumes[2].volume, &volumes[3].volume}, {&volumes[0].volume, &volumes[1].volume},
               engine, promises);
  }
  if (wanted("span")) {
    Segmentation giant = neurites;
    std::fill(giant.labels.begin(), giant.labels.end(), 1U);
    PrintWorkAndSpan({volumes[2],
                      volumes[3],
                      {"one giant object, 128³", volume(giant, 1)},
                      {"a thousand labels at random, 128³", Inconsistent(Erode(neurites), 1000)}});
  }
  if (wanted("parts")) PrintParts(volumes[2].volume);
  if (wanted("scaling")) PrintScaling(whole, engine, promises);
  if (wanted("inputs")) PrintInputs(neurites, engine, promises);
  promises.Print();
  return 0;
}

}  // namespace
}  // namespace lossd

int main(int argc, char** argv) { return lossd::Main(argc, argv); }
