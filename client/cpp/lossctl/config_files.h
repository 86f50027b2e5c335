#ifndef LOSSCTL_CONFIG_FILES_H_
#define LOSSCTL_CONFIG_FILES_H_

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lossctl/config_tree.h"

namespace lossd {

// A config together with the files that it names as its `_base_`: one file or a list, each relative
// to the file that names it, merged from left to right and under the file's own values. Base files
// may have base files.
class ConfigFiles {
 public:
  // Reads the base files of a config that is read itself. Errors are FieldErrors about the file
  // that is at fault: one that is missing, no mapping, its own base, or one too many. At most 256
  // bases are read, and together they hold no more values than one document may.
  static absl::StatusOr<ConfigFiles> Load(const std::string& path, const ConfigNode& document);

  // The merged config, a mapping without `_base_`.
  const ConfigNode& merged() const { return merged_; }

  // The config's own file.
  std::string root() const { return root_.string(); }
  // The file that a scalar or list of the merged config stands in.
  std::string FileOf(const DocumentNode& node) const;

 private:
  using Path = std::filesystem::path;
  struct File {
    ConfigNode document;
    ConfigNode merged;  // With its bases; null as long as they are being read.
  };

  absl::StatusOr<ConfigNode> MergeBases(const Path& path, const ConfigNode& document);
  absl::StatusOr<ConfigNode> LoadBase(const Path& named_in, const DocumentNode& name);
  absl::StatusOr<ConfigNode> Read(const Path& path, const ConfigNode& document);

  Path root_;
  ConfigNode merged_;
  std::map<Path, File> files_;
  std::vector<Path> being_read_;  // Each the base of the one before.
  size_t bases_ = 0;
  size_t nodes_ = 0;
};

}  // namespace lossd

#endif  // LOSSCTL_CONFIG_FILES_H_
