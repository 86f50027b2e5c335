#ifndef SERVER_SECURITY_TOKENS_H_
#define SERVER_SECURITY_TOKENS_H_

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lossd {

// The bearer tokens that let clients in, and whose each is. It keeps their hashes alone.
class Tokens {
 public:
  static constexpr size_t kMinTokenBytes = 16;
  static constexpr size_t kMaxTokenBytes = 4096;
  static constexpr size_t kMaxNameBytes = 128;

  // Reads a token file: "name:token" on each line; blank ones, and those that begin with '#', say
  // nothing. Names and tokens are printable ASCII without spaces, and names have no ':'. A name may
  // have several tokens, so that one is in use before another goes. FieldErrors about "token_file"
  // name the line, and nothing of what it says.
  static absl::StatusOr<Tokens> Parse(absl::string_view text);

  // Whose token that is; empty when it is nobody's. How long it takes tells nothing of what the
  // tokens are.
  std::string OwnerOf(absl::string_view token) const;

  size_t size() const { return entries_.size(); }

  friend bool operator==(const Tokens&, const Tokens&) = default;

 private:
  using Hash = std::array<unsigned char, 32>;  // SHA-256.

  struct Entry {
    std::string name;
    Hash hash;

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  static Hash HashOf(absl::string_view token);

  std::vector<Entry> entries_;
};

}  // namespace lossd

#endif  // SERVER_SECURITY_TOKENS_H_
