#ifndef LOSSD_LOSSES_OPTION_H_
#define LOSSD_LOSSES_OPTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lossd/base/words.h"
#include "lossd/malis/grid.h"

// The options of losses: fields of plain structs, described once.
namespace lossd {

// What is done with the loss map. Mean is the masked mean for losses that take a weight; none, the
// map itself, is an error in a plan, whose terms are scalars.
enum class Reduction { kMean, kSum, kNone };
template <>
inline constexpr absl::string_view kWords<Reduction>[] = {"mean", "sum", "none"};

// What a number may be, besides finite, and how errors say it.
struct Range {
  absl::string_view text;
  bool (*holds)(double number);
};
// Losses are computed in float32, where a larger number is infinite.
inline constexpr Range kAnyNumber = {"a number that is finite in float32",
                                     [](double /*x*/) { return true; }};
inline constexpr Range kPositiveNumber = {"a number > 0", [](double x) { return x > 0; }};
inline constexpr Range kNotNegativeNumber = {"a number >= 0", [](double x) { return x >= 0; }};
inline constexpr Range kFraction = {"a number in [0, 1]",
                                    [](double x) { return x >= 0 && x <= 1; }};

// An option that is one of the words of an enum.
class WordField {
 public:
  template <typename Enum>
    requires std::is_enum_v<Enum>
  // NOLINTNEXTLINE(google-explicit-constructor): reads like the other fields of an Option.
  WordField(Enum* field)
      : field_(field),
        words_(WordsOf<Enum>()),
        get_([](const void* of) { return static_cast<size_t>(*static_cast<const Enum*>(of)); }),
        set_([](void* of, size_t word) { *static_cast<Enum*>(of) = static_cast<Enum>(word); }) {}

  absl::Span<const absl::string_view> words() const { return words_; }
  absl::string_view Get() const { return words_[get_(field_)]; }
  // The index of a word.
  void Set(size_t word) const { set_(field_, word); }

 private:
  void* field_;
  absl::Span<const absl::string_view> words_;
  size_t (*get_)(const void* of);
  void (*set_)(void* of, size_t word);
};

// An option of the original that would be a function, which a plan cannot hold.
struct FunctionField {
  absl::string_view instead;  // What to do, as "use sigmoid: true".
};

// A field of a loss by the name that plans give it. Optional fields and empty lists are absent. A
// list may be written as a single number.
struct Option {
  using Field = std::variant<bool*, std::optional<bool>*, int64_t*, std::optional<int64_t>*,
                             double*, std::optional<double>*, std::vector<int64_t>*,
                             std::vector<double>*, std::vector<Offset>*, WordField, FunctionField>;

  absl::string_view name;
  Field field;
  absl::string_view summary = "";  // A sentence.
  Range range = kAnyNumber;        // Of the number, or of each in a list.
};

// Of one loss, in the order of its documentation. Refers to the fields of that loss.
using OptionList = std::vector<Option>;

// The value of an option: nothing where it is absent; a word is a string.
using OptionValue = std::variant<std::monostate, bool, int64_t, double, std::string,
                                 std::vector<int64_t>, std::vector<double>, std::vector<Offset>>;

OptionValue ValueOf(const Option& option);

// "true", "1e-05", "mean", "[1, 2]": as plans spell it. Empty where it is absent.
std::string TextOf(const OptionValue& value);

// "bool", "int", "float", "string", "list of float", … in words.
std::string TypeOf(const Option& option);

// What is wrong with the value of an option ("beta"). Becomes a FieldError; headers of losses do
// without Abseil's statuses, for vector code is compiled from them.
struct OptionProblem {
  absl::string_view option;
  std::string given;
  absl::string_view expected;
};

// Numbers outside of their ranges, the first of each option.
std::vector<OptionProblem> CheckRanges(const OptionList& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_OPTION_H_
