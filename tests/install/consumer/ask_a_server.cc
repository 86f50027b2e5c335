#include <ATen/ops/zeros.h>
#include <lossd/client.h>

// There is no server, which is what the client has to say.
int main() {
  lossd::Batch batch;
  batch.predictions = {{"output", at::zeros({1, 1, 2, 2})}};
  const auto client =
      lossd::Client::Connect("127.0.0.1:1", {.connect_timeout = absl::Milliseconds(10)});
  return absl::IsUnavailable(client.status()) ? 0 : 1;
}
