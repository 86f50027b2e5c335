#ifndef LOSSD_ORCHESTRATOR_MESSAGE_READER_H_
#define LOSSD_ORCHESTRATOR_MESSAGE_READER_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lossd/orchestrator/document.h"
#include "lossd/orchestrator/field_spelling.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// Reads the values of a document into the messages of a plan, as plan_schema.h says they are
// written, collecting every mistake. Paths are those of fields in error messages.
class MessageReader {
 public:
  // The entries of a mapping into the message's fields.
  void ReadMessage(const DocumentNode& node, const std::string& path,
                   google::protobuf::Message* message);

  // A value, or the values, of a field.
  void ReadField(const DocumentNode& node, const std::string& path,
                 google::protobuf::Message* message,
                 const google::protobuf::FieldDescriptor* field);

  void Problem(absl::string_view field, absl::string_view given, absl::string_view expected);
  void Problem(absl::string_view field, absl::string_view message);

  std::vector<absl::Status> TakeProblems() { return std::move(problems_); }
  // The fields that were read under another name.
  FieldSpelling TakeSpelling() { return std::move(spelling_); }

 private:
  void UnknownKey(absl::string_view path, absl::string_view key,
                  const std::vector<std::string>& keys);
  // `function` names the field of `options`, `kwargs` fills it.
  void ReadFunction(const DocumentNode& term, const std::string& path, v1::LossOptions* options);
  // An element of a repeated field.
  void ReadElement(const DocumentNode& node, const std::string& path,
                   google::protobuf::Message* message,
                   const google::protobuf::FieldDescriptor* field);
  void ReadMap(const DocumentNode& node, const std::string& path,
               google::protobuf::Message* message, const google::protobuf::FieldDescriptor* field);
  // Messages that are written as something else than a mapping, and the others.
  void ReadMessageValue(const DocumentNode& node, const std::string& path,
                        google::protobuf::Message* message);
  void ReadChannelSlice(const DocumentNode& node, const std::string& path, v1::ChannelSlice* slice);
  void ReadPosWeight(const DocumentNode& node, const std::string& path, v1::PosWeight* weight);
  void ReadOffset(const DocumentNode& node, const std::string& path, v1::Offset* offset);
  // Sets a field, or adds to a repeated one.
  void ReadScalar(const DocumentNode& node, const std::string& path,
                  google::protobuf::Message* message,
                  const google::protobuf::FieldDescriptor* field);
  const google::protobuf::EnumValueDescriptor* ReadWord(
      const DocumentNode& node, const std::string& path,
      const google::protobuf::EnumDescriptor* type);
  void ReadName(const DocumentNode& node, const std::string& path,
                google::protobuf::Message* message, const google::protobuf::FieldDescriptor* field);

  std::vector<absl::Status> problems_;
  FieldSpelling spelling_;
};

// A key of a user's as part of a field's path.
std::string Printable(absl::string_view key);

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_MESSAGE_READER_H_
