#include "lossd/losses/option.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lossd {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;  // For compilers before P1816.

template <typename T>
constexpr absl::string_view kTypeWord = "";
template <>
constexpr absl::string_view kTypeWord<bool> = "bool";
template <>
constexpr absl::string_view kTypeWord<int64_t> = "int";
template <>
constexpr absl::string_view kTypeWord<double> = "float";
template <>
constexpr absl::string_view kTypeWord<Offset> = "offset";

std::string ListText(const std::vector<std::string>& items) {
  return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
}

std::string ItemText(const Offset& offset) {
  return absl::StrCat("[", offset.z, ", ", offset.y, ", ", offset.x, "]");
}

template <typename Number>
std::string ItemText(Number number) {
  return absl::StrCat(number);
}

// Whole numbers without an exponent.
std::string NumberText(double number) {
  constexpr double kExact = 1e15;
  return number == std::trunc(number) && std::abs(number) < kExact
             ? absl::StrCat(static_cast<int64_t>(number))
             : absl::StrCat(number);
}

// The numbers that an option holds.
std::vector<double> NumbersOf(const Option& option) {
  return std::visit(
      Overloaded{[](int64_t number) { return std::vector<double>{static_cast<double>(number)}; },
                 [](double number) { return std::vector<double>{number}; },
                 [](const std::vector<int64_t>& list) {
                   return std::vector<double>(list.begin(), list.end());
                 },
                 [](const std::vector<double>& list) { return list; },
                 [](const auto& /*no number*/) { return std::vector<double>(); }},
      ValueOf(option));
}

}  // namespace

OptionValue ValueOf(const Option& option) {
  return std::visit(
      Overloaded{[]<typename T>(const std::optional<T>* field) -> OptionValue {
                   if (!field->has_value()) return std::monostate();
                   return **field;
                 },
                 []<typename T>(const std::vector<T>* list) -> OptionValue {
                   if (list->empty()) return std::monostate();
                   return *list;
                 },
                 [](const WordField& field) -> OptionValue { return std::string(field.Get()); },
                 [](const FunctionField& /*none*/) -> OptionValue { return std::monostate(); },
                 [](const auto* field) -> OptionValue { return *field; }},
      option.field);
}

std::string TextOf(const OptionValue& value) {
  return std::visit(Overloaded{[](std::monostate) { return std::string(); },
                               [](bool flag) { return std::string(flag ? "true" : "false"); },
                               [](const std::string& word) { return word; },
                               []<typename T>(const std::vector<T>& list) {
                                 std::vector<std::string> items;
                                 for (const T& item : list) items.push_back(ItemText(item));
                                 return ListText(items);
                               },
                               [](auto number) { return absl::StrCat(number); }},
                    value);
}

std::string TypeOf(const Option& option) {
  return std::visit(
      Overloaded{
          []<typename T>(const std::optional<T>* /*field*/) { return std::string(kTypeWord<T>); },
          []<typename T>(const std::vector<T>* /*list*/) {
            return absl::StrCat("list of ", kTypeWord<T>);
          },
          [](const WordField& /*field*/) { return std::string("string"); },
          [](const FunctionField& /*none*/) { return std::string("function"); },
          []<typename T>(const T* /*field*/) { return std::string(kTypeWord<T>); }},
      option.field);
}

std::vector<OptionProblem> CheckRanges(const OptionList& options) {
  std::vector<OptionProblem> found;
  for (const Option& option : options) {
    for (const double number : NumbersOf(option)) {
      const bool finite = std::abs(number) <= std::numeric_limits<float>::max();
      if (finite && option.range.holds(number)) continue;
      found.push_back({.option = option.name,
                       .given = NumberText(number),
                       .expected = finite ? option.range.text : kAnyNumber.text});
      break;
    }
  }
  return found;
}

}  // namespace lossd
