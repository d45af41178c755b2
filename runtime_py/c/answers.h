// Texts and answers of a conformance file (`pqrnn conformance`): what a host prints to be judged. C99, no allocation.

#ifndef PQRNN_ANSWERS_H_
#define PQRNN_ANSWERS_H_

#include <stdio.h>

#include "calibration.h"
#include "decode.h"

// Prints a name as a JSON string.
static inline void pqrnn_print_name(FILE *file, const char *name) {
  fputc('"', file);
  for (; *name; ++name) {
    const unsigned char c = (unsigned char)*name;
    if (c == '"' || c == '\\') fputc('\\', file);
    if (c < 0x20) {
      fprintf(file, "\\u%04x", c);
    } else {
      fputc(c, file);
    }
  }
  fputc('"', file);
}

static inline void pqrnn_print_row(FILE *file, const float *values, int32_t count) {
  fputc('[', file);
  for (int32_t i = 0; i < count; ++i) fprintf(file, "%s%.9g", i ? "," : "", (double)values[i]);
  fputc(']', file);
}

// Prints what a calibration says of the parse with these tags; its logarithms go into memory for a number a word.
static inline void pqrnn_print_calibrated(FILE *file, const pqrnn_package_t *package, const pqrnn_calibration_t *calibration, const pqrnn_outputs_t *outputs,
                                          const uint8_t *text, int32_t best, const int32_t *tags, int32_t words, double *logarithms) {
  pqrnn_log_tags(package, outputs, tags, words, logarithms);
  const pqrnn_confidence_t said = pqrnn_judge(package, calibration, outputs, best, logarithms, words);
  fprintf(file, ",\"calibrated\":{\"score\":%.17g,\"slots\":[", said.score);
  const char *separator = "";
  pqrnn_slot_t slot;
  for (int32_t word = 0, start = 0; pqrnn_next_slot(package, tags, outputs->spans, text, words, &word, &slot); start = word, separator = ",") {
    while (package->slots[tags[start]] < 0) ++start;
    fprintf(file, "%s%.17g", separator, pqrnn_judge_slot(calibration, logarithms, words, start, word));
  }
  fputc(']', file);
  if (said.in_scope >= 0) fprintf(file, ",\"in_scope\":%.17g", said.in_scope);
  fputc('}', file);
}

// Prints the answer for one text as one line of JSON, in the form that `pqrnn conformance --answers` judges.
// `calibration` is that of the package, or NULL; `cut` is the number of bytes that were read of a text that was too long, or 0; `bucket` is the one that ran; `ends` and `tags` are memory to work in, for
// as many words as the bucket has.
static inline void pqrnn_print_answer(FILE *file, const pqrnn_package_t *package, const pqrnn_calibration_t *calibration, const pqrnn_outputs_t *outputs,
                                      const uint8_t *text, int32_t bucket, long id, size_t cut, pqrnn_end_t *ends, int32_t *tags) {
  const int32_t limit = package->buckets[bucket].words;
  const int32_t words = outputs->count < limit ? outputs->count : limit;
  const int32_t best = pqrnn_decide(package, outputs, words, ends, tags);
  float sum = 0;  // softmax; the intent's logit is the largest, or near it
  for (int32_t i = 0; i < package->intent_count; ++i) sum += expf(outputs->intent[i] - outputs->intent[best]);
  fprintf(file, "{\"id\":%ld,\"intent\":", id);
  pqrnn_print_name(file, pqrnn_intent(package, best));
  fprintf(file, ",\"score\":%.6g,\"slots\":", (double)(1 / sum));
  pqrnn_slot_t slot;
  const char *separator = "[";
  for (int32_t word = 0; pqrnn_next_slot(package, tags, outputs->spans, text, words, &word, &slot); separator = ",") {
    fprintf(file, "%s{\"label\":", separator);
    pqrnn_print_name(file, slot.label);
    fprintf(file, ",\"start\":%d,\"end\":%d}", (int)slot.start, (int)slot.end);
  }
  fprintf(file, "%s],\"words\":[", *separator == '[' ? "[" : "");
  for (int32_t word = 0; word < words; ++word) {
    fprintf(file, "%s[%d,%d]", word ? "," : "", (int)outputs->spans[2 * word], (int)outputs->spans[2 * word + 1]);
  }
  fputs("],\"intent_logits\":", file);
  pqrnn_print_row(file, outputs->intent, package->intent_count);
  fputs(",\"tag_logits\":[", file);
  for (int32_t word = 0; word < words; ++word) {
    if (word) fputc(',', file);
    pqrnn_print_row(file, outputs->tags + (size_t)word * (size_t)package->tag_count, package->tag_count);
  }
  fputs("]", file);
  if (calibration) pqrnn_print_calibrated(file, package, calibration, outputs, text, best, tags, words, (double *)(void *)ends);
  if (cut) fprintf(file, ",\"truncated\":true,\"prefix\":%lu", (unsigned long)cut);
  fputs("}\n", file);
}

// Turns a line of base64 into bytes, in place. Returns how many, or -1 where it is no base64.
static inline long pqrnn_from_base64(char *line) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t bits = 0;
  int held = 0;
  long size = 0;
  for (const char *at = line; *at && *at != '=' && *at != '\n' && *at != '\r'; ++at) {
    const char *letter = strchr(letters, *at);
    if (!letter) return -1;
    bits = bits << 6 | (uint32_t)(letter - letters);
    held += 6;
    if (held >= 8) {
      held -= 8;
      ((uint8_t *)line)[size++] = (uint8_t)(bits >> held);
    }
  }
  return size;
}

#endif  // PQRNN_ANSWERS_H_
