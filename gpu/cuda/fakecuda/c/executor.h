// Runs a kernel's host build: the threads of a block are fibers of one thread of
// the operating system, and blocks run one after another.
#ifndef ASSAY_EXECUTOR_H
#define ASSAY_EXECUTOR_H

// A kernel with its parameters unpacked: one call is one thread of the grid.
typedef void executor_body(const void *arguments);

// What one card runs kernels with. It keeps the fibers' stacks between launches.
struct executor;
struct executor *executor_new(void);

// Runs a grid. shared is the size of dynamic shared memory in bytes. Returns null,
// or what the kernel did wrong: a text that lives until the next run.
const char *executor_run(struct executor *e, executor_body *body, const void *arguments, unsigned grid, unsigned block,
                         unsigned shared);

#endif
