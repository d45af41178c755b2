/* Does this machine answer as PyTorch does? Runs the texts of golden.bin and compares. All numbers there are little-endian:

   float tolerance, then for every text   uint32 length, int32 words, the bytes, float intent[PQRNN_INTENTS],
                                          for every word float tags[PQRNN_TAGS], for every word int32 start, int32 end */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "parser.h"

static uint8_t text[PQRNN_MOST_BYTES];
static pqrnn_result result, wanted;

static int read_text(FILE *in, uint32_t length) {
  const size_t words = (size_t)wanted.count;
  return length <= sizeof text && words <= PQRNN_MOST_WORDS && fread(text, 1, length, in) == length &&
         fread(wanted.intent, sizeof wanted.intent, 1, in) == 1 && fread(wanted.tags, sizeof wanted.tags[0], words, in) == words &&
         fread(wanted.spans, sizeof wanted.spans[0], words, in) == words;
}

/* The largest difference; infinite where a number is none. */
static float difference(const float *got, const float *expected, size_t count, float most) {
  for (size_t i = 0; i < count; ++i) {
    const float apart = fabsf(got[i] - expected[i]);
    if (!(apart <= most)) most = apart == apart ? apart : INFINITY;
  }
  return most;
}

int main(int argc, char **argv) {
  const char *name = argc == 2 ? argv[1] : "golden.bin";
  FILE *in = fopen(name, "rb");
  float tolerance, most = 0;
  if (!in || fread(&tolerance, sizeof tolerance, 1, in) != 1) {
    fprintf(stderr, "%s: cannot be read\n", name);
    return 2;
  }
  struct {
    uint32_t length;
    int32_t words;
  } head;
  int texts = 0, wrong = 0;
  for (; fread(&head, sizeof head, 1, in) == 1; ++texts) {
    wanted.count = head.words;
    if (!read_text(in, head.length)) {
      fprintf(stderr, "%s: damaged at text %d\n", name, texts);
      return 2;
    }
    const int status = pqrnn_parse(text, head.length, &result);
    if (status || result.count != head.words || memcmp(result.spans, wanted.spans, (size_t)head.words * sizeof result.spans[0])) {
      printf("text %d: %s, %d words, expected %d\n", texts, pqrnn_message(status), (int)result.count, (int)head.words);
      ++wrong;
      continue;
    }
    most = difference(result.intent, wanted.intent, PQRNN_INTENTS, most);
    most = difference(result.tags[0], wanted.tags[0], (size_t)head.words * PQRNN_TAGS, most);
  }
  const int good = texts && !wrong && most <= tolerance;
  printf("%d texts, %d with other words; logits within %g of PyTorch's, allowed are %g: %s\n", texts, wrong, most, tolerance, good ? "good" : "WRONG");
  return !good;
}
