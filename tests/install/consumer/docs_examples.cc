// The examples of docs/cpp.md, which install_test.cmake cuts out of it, each where there is what it
// speaks of. That they compile is the test.
#include <iostream>

#include "docs_includes.inc"

namespace {

struct Network {
  at::Tensor forward(const at::Tensor& image) const { return image; }
};

absl::Status Compute(const Network* network, const at::Tensor& image, const at::Tensor& affinities,
                     const at::Tensor& segmentation, absl::string_view plan_yaml) {
#include "docs_example_1.inc"
  return absl::OkStatus();
}

void TellErrors(const absl::StatusOr<lossd::Result>& result) {
#include "docs_example_2.inc"
}

absl::Status ConnectSecurely() {
#include "docs_example_3.inc"
  return client.status();
}

absl::Status Submit(const lossd::Client* client, absl::string_view plan_yaml,
                    const lossd::Batch& batch, const lossd::Batch& other) {
#include "docs_example_4.inc"
  return result.ok() ? second.Get().status() : result.status();
}

}  // namespace

// Not to be run: there is no server.
int main() {
  TellErrors(Compute(nullptr, {}, {}, {}, ""));
  return ConnectSecurely().ok() && Submit(nullptr, "", {}, {}).ok() ? 0 : 1;
}
