/* What the compiler's object files look like from outside, for whatever calls kernels. */
#ifndef PQRNN_KERNEL_ABI_H
#define PQRNN_KERNEL_ABI_H

#include <stddef.h>
#include <stdint.h>

/* The binary interface of kernels.o: version 6 of the interface that the compiler gives to object files of machine code. Only what is used here has a name
   of its own; the layout is that of the compiler's tables. */
enum { KERNEL_INTERFACE = 6, KERNEL_MOST_BINDINGS = 32 };

typedef struct {
  uint32_t version;
  const char *name;
  uint32_t features, sanitizer;
} kernel_header;

typedef struct {
  uint64_t flags;
  uint16_t local_memory_pages;
  uint8_t constant_count, binding_count;
  uint32_t group_size_x, group_size_y;
  uint16_t group_size_z, unused;
  uint64_t reserved[5];
} kernel_attributes;

typedef struct {
  const uint32_t *constants;
  int (*import_thunk)(void);
  const void *const *import_functions;
  const void *const *import_contexts;
  uint64_t processor[8];
} kernel_environment;

typedef struct {
  uint32_t group_size_x, group_size_y;
  uint16_t group_size_z, constant_count;
  uint32_t group_count_x, group_count_y;
  uint16_t group_count_z;
  uint8_t concurrency, binding_count;
  const uint32_t *constants;
  void *const *bindings;
  const size_t *binding_lengths;
} kernel_dispatch;

typedef struct {
  uint32_t x, y;
  uint16_t z, reserved;
  uint32_t processor;
  void *local_memory;
  uint32_t local_memory_length;
} kernel_group;

typedef int (*kernel_function)(const kernel_environment *, const kernel_dispatch *, const kernel_group *);

typedef struct {
  const kernel_header *header;
  struct {
    uint32_t count;
    const char *const *names;
  } imports;
  struct {
    uint32_t count;
    const kernel_function *functions;
    const kernel_attributes *attributes;
    const void *parameters, *occupancy;
    const char *const *names;
    const void *unused[4];
  } exports;
  uint32_t constant_count;
} kernel_library;

/* In kernels.o; whoever includes this file says how the compiler has called it. */
extern const kernel_header **PQRNN_KERNELS_QUERY(uint32_t version, const kernel_environment *environment);

/* Machine code for a fixed processor asks for nothing: no constants, no imports, no processor features. */
static const kernel_environment kernel_asks_nothing;

static const kernel_library *find_kernels(void) {
  const kernel_header **found = PQRNN_KERNELS_QUERY(KERNEL_INTERFACE, &kernel_asks_nothing);
  return found && (*found)->version == KERNEL_INTERFACE ? (const kernel_library *)found : NULL;
}

#endif
