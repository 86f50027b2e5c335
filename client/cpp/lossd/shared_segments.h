#ifndef LOSSD_SHARED_SEGMENTS_H_
#define LOSSD_SHARED_SEGMENTS_H_

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lossd/call_control.h"
#include "lossd/shared_memory/file_descriptor.h"
#include "lossd/shared_memory/mapping.h"

namespace lossd {

// Memory that this process shares with a server on the same host (docs/shared-memory.md): segments
// that calls borrow, one each, and that are kept for the next. Thread-safe.
class SharedSegments : public std::enable_shared_from_this<SharedSegments> {
  struct Segment {
    std::string token;
    Mapping mapping;
    absl::Time last_used;
  };

 public:
  // A segment that is nobody else's until this goes.
  class Loan {
   public:
    Loan(std::shared_ptr<SharedSegments> owner, Segment segment)
        : owner_(std::move(owner)), segment_(std::move(segment)) {}
    Loan(Loan&&) = default;
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (owner_ != nullptr) owner_->Return(std::move(segment_), may_be_in_use_);
    }

    absl::string_view token() const { return segment_.token; }
    absl::Span<std::byte> bytes() const { return segment_.mapping.bytes(); }

    // The server may read or write it later on: nobody is lent it again.
    void MayBeInUse() { may_be_in_use_ = true; }

   private:
    std::shared_ptr<SharedSegments> owner_;
    Segment segment_;
    bool may_be_in_use_ = false;
  };

  // Connects to the socket that a server has named together with its instance. FAILED_PRECONDITION
  // where another server listens there, UNAVAILABLE where none does: it is not on this host.
  static absl::StatusOr<std::shared_ptr<SharedSegments>> Connect(const std::string& socket,
                                                                 const std::string& instance);

  // A segment of at least `bytes` >= 1. An error where the server takes no more, or is gone, or the
  // call is given up or late.
  absl::StatusOr<Loan> Borrow(size_t bytes, const CallControl& control, absl::Time deadline);

  // Whether they are of no use any more: the server did not answer as it should, or in time.
  bool lost() const;

 private:
  // Who waits for the server, and until when.
  struct Waiting {
    const CallControl& control;
    absl::Time deadline;

    // Why no longer.
    absl::Status over() const;
  };

  explicit SharedSegments(FileDescriptor socket) : socket_(std::move(socket)) {}

  absl::StatusOr<Segment> Share(size_t bytes, const Waiting& waiting);
  // What the server says to the offer of a segment: its token.
  absl::StatusOr<std::string> Offer(size_t bytes, const FileDescriptor& file,
                                    const Waiting& waiting);
  // The same, by the one who talks to it.
  absl::StatusOr<std::string> Talk(size_t bytes, const FileDescriptor& file,
                                   const Waiting& waiting);
  absl::StatusOr<std::string> Receive(const Waiting& waiting) const;

  void Return(Segment segment, bool in_use);

  // With mutex_ held:
  // Has the server forget those that nobody has used lately, and all but a few.
  void Decay();
  void Forget(Segment segment);
  // Says so, unless somebody else talks to the server, who then does.
  void SayForgotten();
  // An answer that comes late must not be taken for that to another question.
  void Lose();

  const FileDescriptor socket_;
  mutable std::mutex mutex_;
  std::condition_variable silent_;
  bool talking_ = false;  // Somebody waits for the server, without mutex_, which guards this,
  bool lost_ = false;
  std::vector<Segment> idle_;
  std::vector<std::string> forgotten_;  // Tokens, of which it is still to be told,
  int answers_due_ = 0;                 // and, when nobody talks, answers before that to an offer.
};

}  // namespace lossd

#endif  // LOSSD_SHARED_SEGMENTS_H_
