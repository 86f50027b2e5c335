#ifndef LOSSD_BASE_FREED_MEMORY_H_
#define LOSSD_BASE_FREED_MEMORY_H_

#include <cstdint>

namespace lossd {

// Has this program's malloc keep what gRPC frees with each message, and take it for the next: given
// back to the system in between, it comes back page by page, which takes longer than the transfer.
// To be called at its start; a library must not choose that for others. Linux.
void KeepFreedMemory();

// Bytes that malloc keeps so.
int64_t FreedBytes();

// Gives them back to the system, which may take some 10 ms.
void GiveBackFreedMemory();

}  // namespace lossd

#endif  // LOSSD_BASE_FREED_MEMORY_H_
