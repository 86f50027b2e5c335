#ifndef LOSSD_PLAN_FIELD_SPELLING_H_
#define LOSSD_PLAN_FIELD_SPELLING_H_

#include <map>
#include <string>

#include "absl/status/status.h"

namespace lossd {

// What fields of a plan are called where it was written: "losses[0].pred_slice" may be
// "losses[0].pred".
using FieldSpelling = std::map<std::string, std::string>;

// The same error, its field called what the author of the plan calls it.
absl::Status InSpelling(const FieldSpelling& spelling, const absl::Status& status);

}  // namespace lossd

#endif  // LOSSD_PLAN_FIELD_SPELLING_H_
