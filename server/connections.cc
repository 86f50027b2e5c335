#include "server/connections.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <memory>
#include <string>

#include "absl/strings/numbers.h"

namespace lossd {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;

// A page of the books, in JSON, of which gRPC gives the memory away. Empty where there is none.
Struct Page(char* json) {
  const std::unique_ptr<char, void (*)(void*)> owned(json, gpr_free);
  Struct page;
  if (json != nullptr && !google::protobuf::util::JsonStringToMessage(json, &page).ok()) return {};
  return page;
}

const ListValue& ListOf(const Struct& page, const std::string& name) {
  const auto found = page.fields().find(name);
  return found == page.fields().end() ? ListValue::default_instance() : found->second.list_value();
}

// The last server of a page; 0 where there is none.
intptr_t LastServer(const Struct& page) {
  const ListValue& servers = ListOf(page, "server");
  if (servers.values().empty()) return 0;
  const Struct& server = servers.values(servers.values_size() - 1).struct_value();
  intptr_t number = 0;
  const bool read = absl::SimpleAtoi(
      server.fields().at("ref").struct_value().fields().at("serverId").string_value(), &number);
  return read ? number : 0;
}

}  // namespace

void Connections::CountThoseOfNewestServer() {
  intptr_t newest = 0;
  while (const intptr_t later = LastServer(Page(grpc_channelz_get_servers(newest + 1)))) {
    newest = later;
  }
  server_ = newest;
}

int64_t Connections::open() const {
  if (server_ == 0) return 0;
  // All on one page.
  constexpr intptr_t kMost = 1 << 20;
  return ListOf(Page(grpc_channelz_get_server_sockets(server_, 0, kMost)), "socketRef")
      .values_size();
}

}  // namespace lossd
