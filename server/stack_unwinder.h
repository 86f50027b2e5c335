#ifndef SERVER_STACK_UNWINDER_H_
#define SERVER_STACK_UNWINDER_H_

namespace lossd {

// Has stacks of faults unwound by the tables that exceptions need. Otherwise absl follows frame
// pointers, and sees nothing above a function that keeps none, as those of libc are.
void UnwindByTables();

}  // namespace lossd

#endif  // SERVER_STACK_UNWINDER_H_
