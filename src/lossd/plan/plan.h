#ifndef LOSSD_PLAN_PLAN_H_
#define LOSSD_PLAN_PLAN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lossd/base/words.h"
#include "lossd/losses/loss_config.h"
#include "lossd/losses/traits.h"
#include "lossd/plan/channel_slice.h"

// A plan: which losses, on which channels, with which weights. Data, not code.
// proto/lossd/v1/plan.proto says what each field means; here, too, what is absent is left open.
namespace lossd {

// How the terms are combined into the total: balancing.h.
enum class BalancingStrategy { kNone, kUncertainty, kGradNorm };
template <>
inline constexpr absl::string_view kWords<BalancingStrategy>[] = {"none", "uncertainty",
                                                                  "gradnorm"};

// The weight of foreground against background: a number, or "auto", counted from the batch.
struct PosWeight {
  std::optional<double> value = {};

  bool automatic() const { return !value.has_value(); }
  friend bool operator==(const PosWeight&, const PosWeight&) = default;
};

// One loss function applied to a channel range of one prediction head.
struct Term {
  std::optional<LossConfig> loss = {};  // Absent only where it could not be read.
  double coefficient = 1;
  std::optional<ChannelSlice> pred_slice = {};
  std::optional<ChannelSlice> target_slice = {};
  std::optional<ChannelSlice> pred2_slice = {};
  std::optional<ChannelSlice> mask_slice = {};
  std::optional<std::string> pred_head = {};
  std::optional<std::string> pred2_head = {};
  std::optional<CallKind> call_kind = {};
  std::optional<TargetKind> target_kind = {};
  std::optional<SpatialWeightArg> spatial_weight_arg = {};
  bool apply_deep_supervision = true;
  std::optional<PosWeight> pos_weight = {};
  bool require_label_mask = false;

  friend bool operator==(const Term&, const Term&) = default;
};

// A prediction head of the network.
struct Head {
  std::optional<ChannelSlice> target_slice = {};
  std::optional<int64_t> out_channels = {};

  friend bool operator==(const Head&, const Head&) = default;
};

struct LossBalancing {
  BalancingStrategy strategy = BalancingStrategy::kNone;
  double gradnorm_alpha = 0.5;
  double gradnorm_lambda = 1;

  friend bool operator==(const LossBalancing&, const LossBalancing&) = default;
};

struct Plan {
  std::vector<Term> losses = {};
  double clamp_min = -20;
  double clamp_max = 20;
  std::vector<double> deep_supervision_weights = {};
  std::map<std::string, Head> heads = {};
  std::optional<std::string> primary_head = {};
  LossBalancing loss_balancing = {};

  friend bool operator==(const Plan&, const Plan&) = default;
};

}  // namespace lossd

#endif  // LOSSD_PLAN_PLAN_H_
