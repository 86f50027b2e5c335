#ifndef LOSSD_PLAN_DOCUMENT_READER_H_
#define LOSSD_PLAN_DOCUMENT_READER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lossd/losses/loss_config.h"
#include "lossd/losses/option.h"
#include "lossd/plan/channel_slice.h"
#include "lossd/plan/document.h"
#include "lossd/plan/field_spelling.h"
#include "lossd/plan/plan.h"

namespace lossd {

// Reads the values of a document into a plan, collecting every mistake. Paths are those of fields
// in error messages. A null leaves a field as it is; what cannot be read does, too.
class DocumentReader {
 public:
  void Read(const DocumentNode& node, const std::string& path, Plan* plan);
  void Read(const DocumentNode& node, const std::string& path, std::vector<Term>* terms);
  void Read(const DocumentNode& node, const std::string& path, std::map<std::string, Head>* heads);
  // A name.
  void Read(const DocumentNode& node, const std::string& path, std::string* name);
  template <typename T>
  void Read(const DocumentNode& node, const std::string& path, std::optional<T>* field) {
    T value = field->value_or(T());
    const size_t before = problems_.size();
    Read(node, path, &value);
    if (problems_.size() == before) *field = std::move(value);
  }

  void Problem(absl::string_view field, absl::string_view given, absl::string_view expected);
  void Problem(absl::string_view field, absl::string_view message);

  std::vector<absl::Status> TakeProblems() { return std::move(problems_); }
  // The fields that were read under another name.
  FieldSpelling TakeSpelling() { return std::move(spelling_); }

 private:
  // An entry that a mapping may have.
  struct Entry {
    absl::string_view key;
    std::function<void(const DocumentNode& node, const std::string& path)> read;
    absl::string_view other_spelling = "";
    // What a null says; nothing in most places.
    std::function<void()> read_null = [] {};
  };

  template <typename T>
  auto Into(T* field) {
    return [this, field](const DocumentNode& node, const std::string& path) {
      Read(node, path, field);
    };
  }
  // `expected`: what to write in place of something that is no mapping; its keys when empty.
  // `passed_over`: keys that are read elsewhere or have no effect here.
  void ReadMapping(const DocumentNode& node, const std::string& path,
                   const std::vector<Entry>& entries,
                   absl::Span<const absl::string_view> passed_over = {},
                   absl::string_view expected = "");
  void UnknownKey(absl::string_view path, absl::string_view key,
                  const std::vector<std::string>& keys);

  void Read(const DocumentNode& node, const std::string& path, Term* term);
  void ReadLoss(const DocumentNode& term, const std::string& path, std::optional<LossConfig>* loss);
  void ReadOptions(const DocumentNode& kwargs, const std::string& path, LossConfig& loss);
  void Read(const DocumentNode& node, const std::string& path, Head* head);
  void Read(const DocumentNode& node, const std::string& path, LossBalancing* balancing);
  void Read(const DocumentNode& node, const std::string& path, ChannelSlice* slice);
  void Read(const DocumentNode& node, const std::string& path, PosWeight* weight);
  void Read(const DocumentNode& node, const std::string& path, bool* flag);
  void Read(const DocumentNode& node, const std::string& path, int64_t* number);
  void Read(const DocumentNode& node, const std::string& path, double* number);
  void Read(const DocumentNode& node, const std::string& path, Offset* offset);
  void Read(const DocumentNode& node, const std::string& path, std::vector<Offset>* offsets);
  // One number stands for a list of it.
  template <typename Number>
  void Read(const DocumentNode& node, const std::string& path, std::vector<Number>* numbers);
  void Read(const DocumentNode& node, const std::string& path, WordField word);
  void Read(const DocumentNode& node, const std::string& path, FunctionField function);

  std::vector<absl::Status> problems_;
  FieldSpelling spelling_;
};

}  // namespace lossd

#endif  // LOSSD_PLAN_DOCUMENT_READER_H_
