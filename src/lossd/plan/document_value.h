#ifndef LOSSD_PLAN_DOCUMENT_VALUE_H_
#define LOSSD_PLAN_DOCUMENT_VALUE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "lossd/plan/document.h"

namespace lossd {

// What a value is, for an error message.
std::string Describe(const DocumentNode& node);

// Whether an unquoted scalar is an integer with a leading zero: YAML 1.1 takes 010 for 8, YAML 1.2
// for 10, and none of the functions below for a value.
bool IsAmbiguous(const DocumentNode& node);

// The bool, integer or number that an unquoted scalar is, by the rules that OmegaConf users know:
// yes and on are bools, 1e-5 is a number. Numbers are finite in float32.
std::optional<bool> AsBool(const DocumentNode& node);
std::optional<int64_t> AsInteger(const DocumentNode& node);
std::optional<double> AsNumber(const DocumentNode& node);

}  // namespace lossd

#endif  // LOSSD_PLAN_DOCUMENT_VALUE_H_
