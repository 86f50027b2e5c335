#ifndef LOSSD_BASE_INSTRUCTION_SETS_H_
#define LOSSD_BASE_INSTRUCTION_SETS_H_

#include "absl/strings/string_view.h"
#include "lossd/base/words.h"

// Inner loops are compiled once for each level of vector instructions (lossd_per_level of
// cmake/InstructionSets.cmake), and the highest that the processor has is chosen when they run.
//
// Such a source puts all it has into the namespace LOSSD_LEVEL, which is the level's name, and
// hands its functions out in a table: a struct of pointers with a static member for each level, of
// which the source defines its own. Of an inline function or template from elsewhere the linker
// would keep one copy for the whole program, perhaps one that the processor cannot run: such
// sources call next to none, and the build fails when a copy has stayed in their objects.
namespace lossd {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };
template <>
inline constexpr absl::string_view kWords<InstructionSet>[] = {"baseline", "avx2", "avx512"};

// The highest that this processor and its system have; those below it can run too. On other
// architectures than x86-64 there is the baseline alone.
InstructionSet CurrentInstructionSet();

// Of the functions compiled for a level that can run.
template <typename Table>
const Table& KernelsOf(InstructionSet level) {
  switch (level) {
#ifdef __x86_64__
    case InstructionSet::kAvx512:
      return Table::avx512;
    case InstructionSet::kAvx2:
      return Table::avx2;
#endif
    default:
      return Table::baseline;
  }
}

template <typename Table>
const Table& CurrentKernels() {
  return KernelsOf<Table>(CurrentInstructionSet());
}

}  // namespace lossd

#endif  // LOSSD_BASE_INSTRUCTION_SETS_H_
