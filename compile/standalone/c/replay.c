/* Texts from one file, numbers to another: how a port is compared with PyTorch. All numbers are little-endian.

   in:  for every text   int32 bucket (-1: the smallest that holds it), uint32 length, the bytes
   out: for every text   int32 status (0 is good), int32 words, int32 words listed, float intent[PQRNN_INTENTS],
                         for every listed word float tags[PQRNN_TAGS], for every listed word int32 start, int32 end */
#include <stdio.h>
#include <string.h>

#include "parser.h"

static uint8_t text[PQRNN_MOST_BYTES];
static pqrnn_result result;

static int skip(FILE *in, size_t length) {
  for (; length; --length)
    if (fgetc(in) == EOF) return 0;
  return 1;
}

static int write_all(FILE *out, int32_t status) {
  const int32_t head[3] = {status, result.count, result.words};
  const size_t words = (size_t)result.words;
  return fwrite(head, sizeof head, 1, out) == 1 && fwrite(result.intent, sizeof result.intent, 1, out) == 1 &&
         fwrite(result.tags, sizeof result.tags[0], words, out) == words && fwrite(result.spans, sizeof result.spans[0], words, out) == words;
}

int main(int argc, char **argv) {
  FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL;
  FILE *out = argc == 3 ? fopen(argv[2], "wb") : NULL;
  if (!in || !out) {
    fprintf(stderr, "usage: replay TEXTS NUMBERS, two files\n");
    return 2;
  }
  int32_t head[2];
  while (fread(head, sizeof head, 1, in) == 1) {
    const size_t length = (uint32_t)head[1];
    const size_t kept = length < sizeof text ? length : sizeof text;
    if (fread(text, 1, kept, in) != kept || !skip(in, length - kept)) {
      fprintf(stderr, "%s: ends in the middle of a text\n", argv[1]);
      return 1;
    }
    memset(&result, 0, sizeof result);
    const int status = head[0] < 0 ? pqrnn_parse(text, length, &result) : pqrnn_parse_in(head[0], text, length, &result);
    if (!write_all(out, status)) {
      fprintf(stderr, "%s: cannot be written\n", argv[2]);
      return 1;
    }
  }
  return fclose(out) ? 1 : 0;
}
