#include <ATen/ops/zeros.h>
#include <lossd/client.h>

// What the client is made of is none of its users' business. (Generated code is not even
// installed.)
#if defined(GOOGLE_PROTOBUF_VERSION) || defined(GRPCPP_CHANNEL_H)
#error "lossd/client.h includes gRPC or Protocol Buffers"
#endif

// There is no server, which is what the client has to say.
int main() {
  lossd::Batch batch;
  batch.predictions = {{"output", at::zeros({1, 1, 2, 2})}};
  const auto client =
      lossd::Client::Connect("127.0.0.1:1", {.connect_timeout = absl::Milliseconds(10)});
  return absl::IsUnavailable(client.status()) ? 0 : 1;
}
