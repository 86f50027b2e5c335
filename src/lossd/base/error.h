#ifndef LOSSD_BASE_ERROR_H_
#define LOSSD_BASE_ERROR_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lossd {

// An INVALID_ARGUMENT status about one field of a request or plan. Its message reads
// "<field>: got <given>, expected <expected>"; the field travels with it, for
// google.rpc.BadRequest.
absl::Status FieldError(absl::string_view field, absl::string_view given,
                        absl::string_view expected);

// The same with a free message: "<field>: <message>".
absl::Status FieldError(absl::string_view field, absl::string_view message);

// The field an error is about; nothing when it is about no field.
std::optional<std::string> ErrorField(const absl::Status& status);

// The same error, with a reason that programs can tell from others ("NOT_FINITE"), for
// google.rpc.ErrorInfo.
absl::Status WithReason(absl::string_view reason, absl::Status status);

// The reason of an error; nothing when it has none but its code.
std::optional<std::string> ErrorReason(const absl::Status& status);

// The same error, about another field. Errors about no field, and OK, pass through.
absl::Status AboutField(absl::string_view field, const absl::Status& status);

// The same error, about `prefix`.field: for callers that know where the checked message lies. Other
// errors and OK pass through.
absl::Status InField(absl::string_view prefix, const absl::Status& status);

}  // namespace lossd

#endif  // LOSSD_BASE_ERROR_H_
