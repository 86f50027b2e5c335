#ifndef LOSSD_BASE_INSTRUCTION_SETS_H_
#define LOSSD_BASE_INSTRUCTION_SETS_H_

// A function that is compiled for several instruction sets, the best of which is chosen when the
// program starts. Sanitizers are not yet set up when the dynamic linker chooses, and clang makes no
// such copies of templates.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define LOSSD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LOSSD_CLONES
#endif

#endif  // LOSSD_BASE_INSTRUCTION_SETS_H_
