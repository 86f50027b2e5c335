#include "server/security/tokens.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lossd/base/error.h"
#include "lossd_rpc/call_metadata.h"

namespace lossd {
namespace {

absl::Status LineError(size_t line, absl::string_view given, absl::string_view expected) {
  return FieldError("token_file", absl::StrCat(given, " on line ", line), expected);
}

}  // namespace

absl::StatusOr<Tokens> Tokens::Parse(absl::string_view text) {
  Tokens tokens;
  size_t line = 0;
  for (const absl::string_view written : absl::StrSplit(text, '\n')) {
    ++line;
    const absl::string_view entry = absl::StripAsciiWhitespace(written);
    if (entry.empty() || entry[0] == '#') continue;
    const size_t colon = entry.find(':');
    if (colon == absl::string_view::npos) return LineError(line, "no ':'", "name:token");
    const absl::string_view name = entry.substr(0, colon);
    const absl::string_view token = entry.substr(colon + 1);
    if (!IsWord(name, kMaxNameBytes)) {
      return LineError(
          line, "a name of another kind",
          absl::StrCat("1 to ", kMaxNameBytes, " characters of printable ASCII without spaces"));
    }
    if (!IsWord(token, kMaxTokenBytes) || token.size() < kMinTokenBytes) {
      return LineError(line, "a token of another kind",
                       absl::StrCat(kMinTokenBytes, " to ", kMaxTokenBytes,
                                    " characters of printable ASCII without spaces"));
    }
    if (!tokens.OwnerOf(token).empty()) {
      return LineError(line, "a token that an earlier line has", "each once");
    }
    tokens.entries_.push_back({.name = std::string(name), .hash = HashOf(token)});
  }
  if (tokens.entries_.empty()) return FieldError("token_file", "no token", "at least one");
  return tokens;
}

std::string Tokens::OwnerOf(absl::string_view token) const {
  const Hash hash = HashOf(token);
  const Entry* owner = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.hash.data(), hash.data(), hash.size()) == 0) owner = &entry;
  }
  return owner == nullptr ? "" : owner->name;
}

Tokens::Hash Tokens::HashOf(absl::string_view token) {
  Hash hash;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), hash.data());
  return hash;
}

}  // namespace lossd
