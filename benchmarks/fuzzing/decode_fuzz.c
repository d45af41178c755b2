// Random texts, tags, spans and logits for `runtime_py/c/decode.h`, to be built with address and undefined sanitizers.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "package.h"

#define WORDS 24
#define BYTES 160

static uint64_t state;

static uint32_t draw(uint32_t below) {  // xorshift64* (Vigna 2016)
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (uint32_t)((state * 2685821657736338717ull) >> 33) % below;
}

static float draw_logit(void) {
  static const float odd[] = {0.0f, -0.0f, 1e30f, -1e30f, 3.4e38f, -3.4e38f, 1e-40f};
  switch (draw(12)) {
    case 0: return odd[draw(sizeof(odd) / sizeof(*odd))];
    case 1: return NAN;
    case 2: return INFINITY;
    case 3: return -INFINITY;
    default: return (float)((int32_t)draw(4001) - 2000) / 100.0f;
  }
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  state = strtoull(arguments[1], NULL, 10) * 2862933555777941757ull + 1;
  const long runs = strtol(arguments[2], NULL, 10);
  const pqrnn_package_t *package = &pqrnn_package;
  const int32_t intents = package->intent_count, tags = package->tag_count;
  float *intent = malloc(sizeof(float) * (size_t)intents), *logits = malloc(sizeof(float) * (size_t)tags * WORDS);
  for (long run = 0; run < runs; ++run) {
    // Exactly as large as they say, so that a step beyond is seen.
    const size_t size = draw(BYTES + 1);
    const int32_t words = (int32_t)draw(WORDS + 1);
    uint8_t *text = malloc(size ? size : 1);
    int32_t *spans = malloc(sizeof(int32_t) * 2 * (size_t)(words ? words : 1)), *chosen = malloc(sizeof(int32_t) * (size_t)(words ? words : 1));
    for (size_t i = 0; i < size; ++i) text[i] = (uint8_t)(draw(3) ? "\xe0\xa0\xed\xf0\x90\xf4\x8f\xc2\x80\xbf 7az"[draw(14)] : draw(256));
    for (size_t limit = 4; limit < BYTES; limit += 1 + draw(40))
      if (pqrnn_cut(text, size, limit) > (size < limit ? size : limit)) return 3;
    if (pqrnn_choose(package, size, words) < 0) return 4;
    for (int32_t word = 0, at = 0; word < words; ++word) {
      const int32_t start = at + (int32_t)draw((uint32_t)size - (uint32_t)at + 1), end = start + (int32_t)draw((uint32_t)size - (uint32_t)start + 1);
      spans[2 * word] = start, spans[2 * word + 1] = at = end;
    }
    for (int32_t i = 0; i < intents; ++i) intent[i] = draw_logit();
    for (int32_t i = 0; i < words * tags; ++i) logits[i] = draw_logit();
    const pqrnn_outputs_t outputs = {intent, logits, spans, words};
    pqrnn_end_t *ends = malloc(sizeof(pqrnn_end_t) * pqrnn_ends(package, words));
    const int32_t best = pqrnn_decide(package, &outputs, words, ends, chosen);
    if (best < 0 || best >= intents) return 5;
    for (int32_t word = 0; word < words; ++word)
      if (chosen[word] < 0 || chosen[word] >= tags) return 6;
    if (draw(4) == 0)
      for (int32_t word = 0; word < words; ++word) chosen[word] = (int32_t)draw((uint32_t)tags);
    pqrnn_slot_t slot;
    for (int32_t word = 0; pqrnn_next_slot(package, chosen, spans, text, words, &word, &slot);)
      if (slot.start < 0 || slot.end < slot.start || (size_t)slot.end > size) return 7;
    free(text), free(spans), free(chosen), free(ends);
  }
  free(intent), free(logits);
  printf("%ld\n", runs);
  return 0;
}
