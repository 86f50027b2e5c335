#ifndef LOSSD_COMPUTE_BALANCING_H_
#define LOSSD_COMPUTE_BALANCING_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "lossd/plan/plan.h"

namespace lossd {

// How the weighted losses L of some terms become a total: Σ factor·L + offset. The factors are also
// what the gradients of the terms are multiplied by, known before any loss is.
struct Balance {
  std::vector<double> weights;  // Per term, as logged.
  std::vector<double> factors;  // Per term.
  double offset = 0;
};

// `parameters` has one value a term:
// - none: anything; weights and factors 1.
// - uncertainty (Kendall, Gal, Cipolla: Multi-task learning using uncertainty to weigh losses, CVPR
// 2018): log-variances s;
//   weight exp(−s), total Σ ½·exp(−s)·L + ½·s.
// - gradnorm (Chen et al.: GradNorm, ICML 2018): task weights w; weight n·relu(w) / (Σ relu(w) +
// 1e-6).
Balance BalanceTerms(BalancingStrategy strategy, absl::Span<const double> parameters);

// d total / d s of one term under uncertainty balancing, s entering as in BalanceTerms: ½ −
// factor·L.
double LogVarGradient(double factor, double weighted_loss);

// The logs of a strategy besides each term's own: the weights under its name and, for uncertainty,
// the offset.
std::vector<std::pair<std::string, double>> BalancingLogs(BalancingStrategy strategy,
                                                          const std::string& stage,
                                                          absl::Span<const std::string> names,
                                                          const Balance& balance);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_BALANCING_H_
