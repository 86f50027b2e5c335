#include "tests/oracle/malis_oracle.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <numeric>
#include <utility>

namespace lossd {
namespace {

struct Edge {
  size_t index;
  size_t a;
  size_t b;
};

// Whether a coordinate + an offset, which may be any number, is in [0, extent), as the coordinate
// is.
bool StaysWithin(int64_t extent, int64_t coordinate, int64_t offset) {
  return offset >= -coordinate && offset < extent - coordinate;
}

// Every edge with two different ends inside the volume, by testing all coordinates.
std::vector<Edge> AllEdges(const MalisSample& sample) {
  const auto& [depth, height, width] = sample.shape;
  std::vector<Edge> edges;
  size_t index = 0;
  for (const Offset& offset : sample.neighborhood) {
    for (int64_t z = 0; z < depth; ++z) {
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x, ++index) {
          if (!StaysWithin(depth, z, offset.z) || !StaysWithin(height, y, offset.y) ||
              !StaysWithin(width, x, offset.x)) {
            continue;
          }
          const auto a = static_cast<size_t>((z * height + y) * width + x);
          const auto b =
              static_cast<size_t>(((z + offset.z) * height + y + offset.y) * width + x + offset.x);
          if (a != b) edges.push_back({.index = index, .a = a, .b = b});
        }
      }
    }
  }
  return edges;
}

bool Known(const MalisSample& sample, size_t edge) {
  return sample.known.empty() || sample.known[edge] != 0;
}

using Histogram = std::map<uint32_t, uint64_t>;

uint64_t Pairs(const Histogram& a, const Histogram& b, bool want_equal) {
  uint64_t pairs = 0;
  for (const auto& [label_a, size_a] : a) {
    for (const auto& [label_b, size_b] : b) {
      if ((label_a == label_b) == want_equal) pairs += size_a * size_b;
    }
  }
  return pairs;
}

}  // namespace

std::vector<uint64_t> OracleMalisCounts(const MalisSample& sample, MalisPass pass) {
  const bool negative = pass == MalisPass::kNegative;
  std::vector<uint32_t> labels(sample.labels.begin(), sample.labels.end());
  if (labels.empty()) labels = OracleComponents(sample);

  const auto constrained = [&](const Edge& edge) {
    return Known(sample, edge.index) && (sample.positive[edge.index] != 0) == negative;
  };
  const auto affinity = [&](const Edge& edge) {
    if (!constrained(edge)) return sample.affinity[edge.index];
    return negative ? 1.0F : 0.0F;
  };
  std::vector<Edge> edges = AllEdges(sample);
  // Edges come in ascending index, which a stable sort keeps.
  std::stable_sort(edges.begin(), edges.end(), [&](const Edge& a, const Edge& b) {
    if (affinity(a) != affinity(b)) return affinity(a) > affinity(b);
    return negative ? constrained(a) > constrained(b) : constrained(a) < constrained(b);
  });

  std::vector<size_t> set_of(labels.size());
  std::iota(set_of.begin(), set_of.end(), size_t{0});
  std::vector<std::vector<size_t>> members(labels.size());
  std::vector<Histogram> histograms(labels.size());
  for (size_t v = 0; v < labels.size(); ++v) {
    members[v] = {v};
    if (labels[v] != 0) histograms[v] = {{labels[v], 1}};
  }
  std::vector<uint64_t> counts(sample.affinity.size(), 0);
  for (const Edge& edge : edges) {
    size_t a = set_of[edge.a];
    size_t b = set_of[edge.b];
    if (a == b) continue;
    if (Known(sample, edge.index) && (sample.positive[edge.index] != 0) != negative) {
      counts[edge.index] = Pairs(histograms[a], histograms[b], !negative);
    }
    if (members[a].size() < members[b].size()) std::swap(a, b);
    for (const size_t v : members[b]) set_of[v] = a;
    members[a].insert(members[a].end(), members[b].begin(), members[b].end());
    members[b].clear();
    for (const auto& [label, size] : histograms[b]) histograms[a][label] += size;
    histograms[b].clear();
  }
  return counts;
}

std::vector<double> OracleMalisWeights(const MalisSample& sample) {
  std::vector<double> weights(sample.affinity.size(), 0.0);
  for (const MalisPass pass : {MalisPass::kNegative, MalisPass::kPositive}) {
    const std::vector<uint64_t> counts = OracleMalisCounts(sample, pass);
    const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
    if (sum == 0) continue;
    for (size_t e = 0; e < counts.size(); ++e) {
      weights[e] += static_cast<double>(counts[e]) / sum;
    }
  }
  return weights;
}

std::vector<uint32_t> OracleComponents(const MalisSample& sample) {
  const auto n = static_cast<size_t>(sample.shape.voxels());
  std::vector<std::vector<size_t>> neighbors(n);
  for (const Edge& edge : AllEdges(sample)) {
    if (sample.positive[edge.index] == 0) continue;
    neighbors[edge.a].push_back(edge.b);
    neighbors[edge.b].push_back(edge.a);
  }
  std::vector<uint32_t> labels(n, 0);
  uint32_t count = 0;
  for (size_t seed = 0; seed < n; ++seed) {
    if (labels[seed] != 0 || neighbors[seed].empty()) continue;
    labels[seed] = ++count;
    std::vector<size_t> front = {seed};
    while (!front.empty()) {
      const size_t v = front.back();
      front.pop_back();
      for (const size_t u : neighbors[v]) {
        if (labels[u] != 0) continue;
        labels[u] = count;
        front.push_back(u);
      }
    }
  }
  return labels;
}

}  // namespace lossd
