/* Runs the steps of a compiled parser by calling its kernels: one home for the player of ../ and for native parsers. Whoever includes this file has defined
   PQRNN_KERNELS_QUERY (kernel_abi.h). */
#ifndef PQRNN_STEPS_H
#define PQRNN_STEPS_H

#include "kernel_abi.h"
#include "player.h"

#ifndef PQRNN_FREESTANDING /* who defines it brings memcpy and strcmp */
#include <string.h>
#endif

enum { STEPS_DONE, STEPS_WRONG_KERNELS, STEPS_KERNEL_FAILED };

/* What steps refer to. */
typedef struct {
  const kernel_library *library;
  const uint16_t *ordinals; /* of the kernels */
  uint8_t *const *places;   /* PQRNN_PLACES of them */
  const pqrnn_range *ranges;
  const uint32_t *constants;
} step_context;

/* Finds kernels by their names. Returns the library, or NULL where it lacks one or asks for what is not given. */
static const kernel_library *find_named_kernels(const char *const *names, uint16_t count, uint16_t *ordinals) {
  const kernel_library *library = find_kernels();
  if (!library || library->imports.count || library->constant_count) return NULL;
  uint32_t at = 0; /* both lists are in much the same order, so the next name is searched from where the last was found */
  for (uint16_t kernel = 0; kernel < count; ++kernel) {
    uint32_t tried = 0;
    while (tried < library->exports.count && strcmp(library->exports.names[at], names[kernel])) {
      at = at + 1 < library->exports.count ? at + 1 : 0;
      ++tried;
    }
    if (tried == library->exports.count || library->exports.attributes[at].local_memory_pages) return NULL;
    ordinals[kernel] = (uint16_t)at;
  }
  return library;
}

static uint8_t *locate_range(const step_context *context, const pqrnn_range *range) { return context->places[range->place] + range->offset; }

static int run_kernel(const step_context *context, const pqrnn_step *step, const pqrnn_range *ranges) {
  const uint16_t ordinal = context->ordinals[step->kernel];
  const kernel_attributes *wanted = &context->library->exports.attributes[ordinal];
  const kernel_function function = context->library->exports.functions[ordinal];
  void *bindings[KERNEL_MOST_BINDINGS];
  size_t lengths[KERNEL_MOST_BINDINGS];
  if (step->range_count > KERNEL_MOST_BINDINGS || wanted->binding_count != step->range_count || wanted->constant_count != step->constant_count)
    return STEPS_WRONG_KERNELS;
  for (int i = 0; i < step->range_count; ++i) {
    bindings[i] = locate_range(context, &ranges[i]);
    lengths[i] = ranges[i].length;
  }
  const kernel_dispatch call = {
      .group_size_x = wanted->group_size_x,
      .group_size_y = wanted->group_size_y,
      .group_size_z = wanted->group_size_z,
      .constant_count = step->constant_count,
      .group_count_x = step->groups[0],
      .group_count_y = step->groups[1],
      .group_count_z = (uint16_t)step->groups[2],
      .concurrency = 1,
      .binding_count = step->range_count,
      .constants = context->constants + step->first_constant,
      .bindings = bindings,
      .binding_lengths = lengths,
  };
  for (uint32_t z = 0; z < step->groups[2]; ++z)
    for (uint32_t y = 0; y < step->groups[1]; ++y)
      for (uint32_t x = 0; x < step->groups[0]; ++x) {
        const kernel_group group = {.x = x, .y = y, .z = (uint16_t)z};
        if (function(&kernel_asks_nothing, &call, &group)) return STEPS_KERNEL_FAILED;
      }
  return STEPS_DONE;
}

static int run_steps(const step_context *context, const pqrnn_step *steps, size_t count) {
  for (const pqrnn_step *step = steps; step < steps + count; ++step) {
    const pqrnn_range *ranges = context->ranges + step->first_range;
    if (step->kernel == PQRNN_COPY) {
      memcpy(locate_range(context, &ranges[1]), locate_range(context, &ranges[0]), ranges[0].length);
    } else if (step->kernel == PQRNN_FILL) {
      uint8_t *target = locate_range(context, ranges);
      const uint32_t pattern = context->constants[step->first_constant];
      for (uint32_t i = 0; i < ranges->length; ++i) target[i] = (uint8_t)(pattern >> (8 * (i % 4)));
    } else {
      const int status = run_kernel(context, step, ranges);
      if (status) return status;
    }
  }
  return STEPS_DONE;
}

#endif
