/* A text from the command line: its intent, and every word with its tag. */
#include <stdio.h>
#include <string.h>

#include "parser.h"

static size_t largest(const float *logits, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; ++i)
    if (logits[i] > logits[best]) best = i;
  return best;
}

int main(int argc, char **argv) {
  static pqrnn_result result; /* some kilobytes: not on a small board's stack */
  if (argc != 2) {
    fprintf(stderr, "usage: example \"wake me at seven\"\n");
    return 2;
  }
  const int status = pqrnn_parse((const uint8_t *)argv[1], strlen(argv[1]), &result);
  if (status) {
    fprintf(stderr, "not parsed: %s\n", pqrnn_message(status));
    return 1;
  }
  printf("%s\n", pqrnn_intents[largest(result.intent, PQRNN_INTENTS)]);
  for (int32_t word = 0; word < result.words; ++word) {
    const int32_t start = result.spans[word][0], end = result.spans[word][1];
    printf("  %-24s %.*s\n", pqrnn_tags[largest(result.tags[word], PQRNN_TAGS)], (int)(end - start), argv[1] + start);
  }
  return 0;
}
