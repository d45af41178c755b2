#include "player.h"

#include <string.h>

#include "parser.h"

#include "kernel_abi.h"

int pqrnn_start(const pqrnn_module *module) {
  const kernel_library *library = find_kernels();
  if (!library || library->imports.count || library->constant_count) return PQRNN_WRONG_KERNELS;
  uint32_t at = 0; /* both lists are in much the same order, so the next name is searched from where the last was found */
  for (uint16_t kernel = 0; kernel < module->kernel_count; ++kernel) {
    uint32_t tried = 0;
    while (tried < library->exports.count && strcmp(library->exports.names[at], module->kernels[kernel])) {
      at = at + 1 < library->exports.count ? at + 1 : 0;
      ++tried;
    }
    if (tried == library->exports.count || library->exports.attributes[at].local_memory_pages) return PQRNN_WRONG_KERNELS;
    module->ordinals[kernel] = (uint16_t)at;
  }
  return PQRNN_OK;
}

static uint8_t *locate(const pqrnn_module *module, const pqrnn_range *range) {
  return module->places[range->place] + range->offset;
}

static int run_kernel(const pqrnn_module *module, const pqrnn_step *step, const pqrnn_range *ranges) {
  const kernel_library *library = find_kernels();
  const uint16_t ordinal = module->ordinals[step->kernel];
  const kernel_attributes *wanted = &library->exports.attributes[ordinal];
  void *bindings[KERNEL_MOST_BINDINGS];
  size_t lengths[KERNEL_MOST_BINDINGS];
  if (step->range_count > KERNEL_MOST_BINDINGS || wanted->binding_count != step->range_count || wanted->constant_count != step->constant_count)
    return PQRNN_WRONG_KERNELS;
  for (int i = 0; i < step->range_count; ++i) {
    bindings[i] = locate(module, &ranges[i]);
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
      .constants = module->constants + step->first_constant,
      .bindings = bindings,
      .binding_lengths = lengths,
  };
  for (uint32_t z = 0; z < step->groups[2]; ++z)
    for (uint32_t y = 0; y < step->groups[1]; ++y)
      for (uint32_t x = 0; x < step->groups[0]; ++x) {
        const kernel_group place = {.x = x, .y = y, .z = (uint16_t)z};
        if (library->exports.functions[ordinal](&kernel_asks_nothing, &call, &place)) return PQRNN_KERNEL_FAILED;
      }
  return PQRNN_OK;
}

static void fill(uint8_t *target, size_t length, uint32_t pattern) {
  for (size_t i = 0; i < length; ++i) target[i] = (uint8_t)(pattern >> (8 * (i % 4)));
}

int pqrnn_play(const pqrnn_module *module, const pqrnn_step *steps, size_t count) {
  for (const pqrnn_step *step = steps; step < steps + count; ++step) {
    const pqrnn_range *ranges = module->ranges + step->first_range;
    int status = PQRNN_OK;
    if (step->kernel == PQRNN_COPY)
      memcpy(locate(module, &ranges[1]), locate(module, &ranges[0]), ranges[0].length);
    else if (step->kernel == PQRNN_FILL)
      fill(locate(module, ranges), ranges->length, module->constants[step->first_constant]);
    else
      status = run_kernel(module, step, ranges);
    if (status) return status;
  }
  return PQRNN_OK;
}
