#include "player.h"

#include "parser.h"

#include "steps.h"

int pqrnn_start(const pqrnn_module *module) {
  return find_named_kernels(module->kernels, module->kernel_count, module->ordinals) ? PQRNN_OK : PQRNN_WRONG_KERNELS;
}

int pqrnn_play(const pqrnn_module *module, const pqrnn_step *steps, size_t count) {
  const step_context context = {
      .library = find_kernels(),
      .ordinals = module->ordinals,
      .places = module->places,
      .ranges = module->ranges,
      .constants = module->constants,
  };
  switch (run_steps(&context, steps, count)) {
    case STEPS_DONE: return PQRNN_OK;
    case STEPS_WRONG_KERNELS: return PQRNN_WRONG_KERNELS;
    default: return PQRNN_KERNEL_FAILED;
  }
}
