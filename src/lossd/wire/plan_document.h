#ifndef LOSSD_WIRE_PLAN_DOCUMENT_H_
#define LOSSD_WIRE_PLAN_DOCUMENT_H_

#include <vector>

#include "absl/status/status.h"
#include "lossd/plan/document.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// The document that says what a typed plan says, as a person would write it.
DocumentNode::Ref ToDocument(const v1::Plan& plan);

// Fields and enum values of a plan that this version does not know: FieldErrors.
std::vector<absl::Status> CheckKnownFields(const v1::Plan& plan);

}  // namespace lossd

#endif  // LOSSD_WIRE_PLAN_DOCUMENT_H_
