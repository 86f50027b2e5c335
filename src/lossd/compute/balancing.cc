#include "lossd/compute/balancing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace lossd {

Balance BalanceTerms(BalancingStrategy strategy, absl::Span<const double> parameters) {
  Balance balance;
  balance.weights.assign(parameters.size(), 1);
  balance.factors.assign(parameters.size(), 1);
  if (strategy == BalancingStrategy::kUncertainty) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      balance.weights[i] = std::exp(-parameters[i]);
      balance.factors[i] = 0.5 * balance.weights[i];
      balance.offset += 0.5 * parameters[i];
    }
  } else if (strategy == BalancingStrategy::kGradNorm) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      balance.weights[i] = std::max(parameters[i], 0.0);
    }
    const double sum = std::accumulate(balance.weights.begin(), balance.weights.end(), 0.0);
    const double scale = static_cast<double>(parameters.size()) / (sum + 1e-6);
    for (double& weight : balance.weights) weight *= scale;
    balance.factors = balance.weights;
  }
  return balance;
}

double LogVarGradient(double factor, double weighted_loss) { return 0.5 - factor * weighted_loss; }

std::vector<std::pair<std::string, double>> BalancingLogs(BalancingStrategy strategy,
                                                          const std::string& stage,
                                                          absl::Span<const std::string> names,
                                                          const Balance& balance) {
  std::vector<std::pair<std::string, double>> logs;
  const std::string prefix = absl::StrCat(stage, "_loss_", Word(strategy), "/");
  for (size_t i = 0; i < names.size(); ++i) {
    logs.emplace_back(absl::StrCat(prefix, names[i], "_weight"), balance.weights[i]);
  }
  if (strategy == BalancingStrategy::kUncertainty) {
    logs.emplace_back(absl::StrCat(prefix, "reg"), balance.offset);
  }
  return logs;
}

}  // namespace lossd
