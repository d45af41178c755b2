/* Plays the steps of a compiled parser. The tables are in parser.c; this file and player.c are the same for every parser. */
#ifndef PQRNN_PLAYER_H
#define PQRNN_PLAYER_H

#include <stddef.h>
#include <stdint.h>

/* Places of memory, as `place` of a range. */
enum { PQRNN_CONSTANTS, PQRNN_STATE, PQRNN_ARENA, PQRNN_PLACES };

/* What a step's `kernel` says when it is no kernel. A fill has one range, and one constant: four bytes, the pattern over and over.
   A copy has two ranges: from, to. */
enum { PQRNN_COPY = 0xFFFE, PQRNN_FILL = 0xFFFF };

typedef struct {
  uint32_t place, offset, length;
} pqrnn_range;

typedef struct {
  uint16_t kernel;                        /* number of a kernel, or one of the two above */
  uint8_t range_count, constant_count;
  uint32_t first_range, first_constant;   /* in the module's tables */
  uint32_t groups[3];
} pqrnn_step;

typedef struct {
  const pqrnn_range *ranges;
  const uint32_t *constants;
  const char *const *kernels;             /* their names */
  uint16_t kernel_count;
  uint16_t *ordinals;                     /* kernel_count of them, found by pqrnn_start */
  uint8_t *places[PQRNN_PLACES];
} pqrnn_module;

/* One length bucket: what it holds, where its text goes, where its results appear, and the steps between. */
typedef struct {
  uint32_t bytes, words;
  uint32_t text, intent, tags, spans, count; /* offsets in the arena */
  uint32_t first_step, step_count;
} pqrnn_entry;

/* Look the kernels up. Returns 0, or PQRNN_WRONG_KERNELS. */
int pqrnn_start(const pqrnn_module *module);

/* Run steps in order. Returns 0, PQRNN_WRONG_KERNELS, or PQRNN_KERNEL_FAILED. */
int pqrnn_play(const pqrnn_module *module, const pqrnn_step *steps, size_t count);

#endif
