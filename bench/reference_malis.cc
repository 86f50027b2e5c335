#include "bench/reference_malis.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <numeric>
#include <utility>

namespace lossd {
namespace {

class DisjointSets {
 public:
  explicit DisjointSets(size_t size) : parent_(size), rank_(size, 0) {
    std::iota(parent_.begin(), parent_.end(), uint64_t{0});
  }

  uint64_t Find(uint64_t v) {
    uint64_t root = v;
    while (parent_[root] != root) root = parent_[root];
    while (parent_[v] != root) v = std::exchange(parent_[v], root);
    return root;
  }

  // Returns the root that stays.
  uint64_t Link(uint64_t a, uint64_t b) {
    if (rank_[a] < rank_[b]) std::swap(a, b);
    if (rank_[a] == rank_[b]) ++rank_[a];
    parent_[b] = a;
    return a;
  }

 private:
  std::vector<uint64_t> parent_;
  std::vector<uint64_t> rank_;
};

}  // namespace

std::vector<uint64_t> ReferenceMalisCounts(const MalisSample& sample, MalisPass pass) {
  const auto voxels = static_cast<size_t>(sample.shape.voxels());
  const size_t edges = sample.affinity.size();
  const bool positive_pass = pass == MalisPass::kPositive;
  const auto other_class = [&](size_t e) { return (sample.positive[e] != 0) != positive_pass; };
  const auto known = [&](size_t e) { return sample.known.empty() || sample.known[e] != 0; };

  std::vector<float> affinity(sample.affinity.begin(), sample.affinity.end());
  for (size_t e = 0; e < edges; ++e) {
    if (other_class(e) && known(e)) affinity[e] = positive_pass ? 0.0F : 1.0F;
  }
  std::vector<uint64_t> node1(edges);
  std::vector<uint64_t> node2(edges);
  std::vector<uint64_t> order;
  for (size_t c = 0; c < sample.neighborhood.size(); ++c) {
    const EdgeBox box = EdgesOf(sample.shape, sample.neighborhood[c]);
    ForEachRow(sample.shape, box, 0, sample.shape.z, [&](int64_t first, int64_t count) {
      for (int64_t v = first; v < first + count; ++v) {
        node1[c * voxels + v] = v;
        node2[c * voxels + v] = v + box.stride;
        order.push_back(c * voxels + v);
      }
    });
  }
  std::sort(order.begin(), order.end(), [&](uint64_t a, uint64_t b) {
    return affinity[a] > affinity[b] || (affinity[a] == affinity[b] && a < b);
  });

  DisjointSets sets(voxels);
  std::vector<std::map<uint64_t, uint64_t>> overlap(voxels);
  for (size_t v = 0; v < voxels; ++v) {
    if (sample.labels[v] != 0) overlap[v][sample.labels[v]] = 1;
  }
  std::vector<uint64_t> counts(edges, 0);
  for (const uint64_t e : order) {
    const uint64_t a = sets.Find(node1[e]);
    const uint64_t b = sets.Find(node2[e]);
    if (a == b) continue;
    for (const auto& [label_a, size_a] : overlap[a]) {
      for (const auto& [label_b, size_b] : overlap[b]) {
        if ((label_a == label_b) == positive_pass) counts[e] += size_a * size_b;
      }
    }
    const uint64_t root = sets.Link(a, b);
    const uint64_t other = root == a ? b : a;
    for (const auto& [label, size] : overlap[other]) overlap[root][label] += size;
    overlap[other].clear();
  }
  for (size_t e = 0; e < edges; ++e) {
    if (other_class(e) || !known(e)) counts[e] = 0;
  }
  return counts;
}

std::vector<float> ReferenceMalisWeights(const MalisSample& sample) {
  std::vector<float> weights(sample.affinity.size(), 0.0F);
  for (const MalisPass pass : {MalisPass::kNegative, MalisPass::kPositive}) {
    const std::vector<uint64_t> counts = ReferenceMalisCounts(sample, pass);
    const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
    if (sum == 0) continue;
    for (size_t e = 0; e < counts.size(); ++e) {
      weights[e] += static_cast<float>(counts[e]) / static_cast<float>(sum);
    }
  }
  return weights;
}

}  // namespace lossd
