// Takes bytes as a stream of gRPC's messages and answers with as many, as lossd moves tensors but
// without looking at them: what streams of the Python SDK are measured against.
//
//   byte_server --listen=127.0.0.1:0 --port_file=FILE
//
// A call of any name, one at a time.

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "lossd/base/freed_memory.h"
#include "lossd/base/workspace.h"

namespace lossd {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;
// Of a message that is sent, at most: as lossd's chunks.
constexpr size_t kMessageBytes = size_t{512} << 10;

// What arrives, and is sent back.
using Memory = Workspace::Buffer<uint8_t>;

class Call : public grpc::ServerGenericBidiReactor {
 public:
  explicit Call(const Memory& memory) : memory_(memory) { StartRead(&message_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Send();
    if (!Keep()) return Finish({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many bytes"});
    StartRead(&message_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    Send();
  }

  void OnDone() override { const std::unique_ptr<Call> owner(this); }

 private:
  // Whether there is room for the message.
  bool Keep() {
    std::vector<grpc::Slice> slices;
    const size_t room = memory_.size() - received_;
    if (!message_.Dump(&slices).ok() || message_.Length() > room) return false;
    for (const grpc::Slice& slice : slices) {
      std::memcpy(memory_.data() + received_, slice.begin(), slice.size());
      received_ += slice.size();
    }
    message_.Clear();
    return true;
  }

  void Send() {
    if (sent_ == received_) return Finish(grpc::Status::OK);
    const size_t size = std::min(kMessageBytes, received_ - sent_);
    const grpc::Slice slice(memory_.data() + sent_, size, grpc::Slice::STATIC_SLICE);
    message_ = grpc::ByteBuffer(&slice, 1);
    sent_ += size;
    StartWrite(&message_);
  }

  const Memory& memory_;
  grpc::ByteBuffer message_;
  size_t received_ = 0;
  size_t sent_ = 0;
};

class Service : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* /*context*/) override {
    return new Call(memory_);
  }

 private:
  Workspace workspace_;
  const Memory memory_{workspace_, kMostBytes};
};

int Main(int argc, char** argv) {
  std::string listen = "127.0.0.1:0";
  std::string port_file;
  CLI::App app("Answers bytes with as many");
  app.add_option("--listen", listen, "host:port");
  app.add_option("--port_file", port_file, "File that the port is written to")->required();
  CLI11_PARSE(app, argc, argv);
  KeepFreedMemory();
  Service service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  builder.SetMaxReceiveMessageSize(-1);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || !(std::ofstream(port_file) << port << "\n")) {
    std::fprintf(stderr, "cannot listen on %s, or write %s\n", listen.c_str(), port_file.c_str());
    return 1;
  }
  server->Wait();
  return 0;
}

}  // namespace
}  // namespace lossd

int main(int argc, char** argv) { return lossd::Main(argc, argv); }
