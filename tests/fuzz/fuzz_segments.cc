// Clients that share memory: packets of any bytes, with files of any kind, and requests that name
// regions of what was taken. Whatever of it is taken can be touched from end to end.

#include <fcntl.h>
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossd/shared_memory/segment_packets.h"
#include "lossd/shared_memory/unix_socket.h"
#include "lossd/v1/tensor.pb.h"
#include "server/shared_memory/regions.h"
#include "server/shared_memory/segment_socket.h"
#include "tests/fuzz/expect.h"

namespace lossd {
namespace {

constexpr uint64_t kMostBytes = 1 << 16;

struct Server {
  std::string name = absl::StrCat("@lossd-fuzz-", getpid());
  Segments segments{4 * kMostBytes};
  std::unique_ptr<SegmentSocket> socket =
      *SegmentSocket::Listen(name, std::string(kTokenBytes, 'i'), segments);
};

// A client's file, perhaps of the kind that is taken.
FileDescriptor AnyFile(FuzzedDataProvider& drawn, uint64_t size) {
  if (drawn.ConsumeBool()) return FileDescriptor(open("/dev/zero", O_RDWR | O_CLOEXEC));
  FileDescriptor file(memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  (void)!ftruncate(file.get(), static_cast<off_t>(size));
  (void)fcntl(file.get(), F_ADD_SEALS, drawn.ConsumeIntegral<uint8_t>() & 0x1f);
  return file;
}

void Touch(const std::string& token, FuzzedDataProvider& drawn, const Segments& segments) {
  v1::SharedRegion named;
  named.set_segment(token);
  named.set_offset(drawn.ConsumeIntegral<uint64_t>() >> drawn.ConsumeIntegralInRange(0, 63));
  named.set_bytes(drawn.ConsumeIntegral<uint64_t>() >> drawn.ConsumeIntegralInRange(0, 63));
  const absl::StatusOr<Region> region = FindRegion(named, segments);
  ExpectAnswerOrRefusal(region.status());
  if (region.ok()) std::ranges::fill(region->bytes, std::byte{1});
}

void Share(FuzzedDataProvider& drawn) {
  static Server server;
  const absl::StatusOr<FileDescriptor> socket = ConnectToUnixSocket(server.name, absl::Seconds(10));
  Expect(socket.ok() && ReceivePacket(*socket).ok(), "the server greets");
  std::string token;
  while (drawn.remaining_bytes() > 0) {
    const auto size = drawn.ConsumeIntegralInRange<uint64_t>(0, kMostBytes);
    const FileDescriptor file = AnyFile(drawn, size);
    std::string packet = drawn.ConsumeBool() ? MakeOffer(size) : drawn.ConsumeRandomLengthString();
    if (drawn.ConsumeBool()) packet = token;
    packet.resize(std::clamp<size_t>(packet.size(), 1, kMaxPacketBytes));
    Expect(SendPacket(*socket, packet, drawn.ConsumeBool() ? &file : nullptr).ok(), "it is sent");
    const absl::StatusOr<Packet> answer = ReceivePacket(*socket);
    Expect(answer.ok() && !answer->bytes.empty(), "it is answered");
    if (answer->bytes[0] == kDone && answer->bytes.size() > 1) {
      token = answer->bytes.substr(1);
      (void)!ftruncate(file.get(), drawn.ConsumeIntegralInRange<off_t>(0, kMostBytes));
    }
    Touch(token, drawn, server.segments);
  }
}

}  // namespace
}  // namespace lossd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider drawn(data, size);
  lossd::Share(drawn);
  return 0;
}
