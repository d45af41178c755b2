#include "parser.h"

#include <string.h>

#include "tables.h"

static int started;

static int start(void) {
  if (started) return PQRNN_OK;
  int status = pqrnn_start(&pqrnn_tables);
  if (!status) status = pqrnn_play(&pqrnn_tables, pqrnn_setup, pqrnn_setup_count);
  started = !status;
  return status;
}

int pqrnn_parse_in(int32_t bucket, const uint8_t *text, size_t length, pqrnn_result *result) {
  if (bucket < 0 || bucket >= PQRNN_BUCKETS || length > pqrnn_entries[bucket].bytes) return PQRNN_TOO_LONG;
  int status = start();
  if (status) return status;
  const pqrnn_entry *entry = &pqrnn_entries[bucket];
  uint8_t *arena = pqrnn_tables.places[PQRNN_ARENA];
  memcpy(arena + entry->text, text, length);
  memset(arena + entry->text + length, 0, entry->bytes - length);
  status = pqrnn_play(&pqrnn_tables, pqrnn_steps + entry->first_step, entry->step_count);
  if (status) return status;
  memcpy(&result->count, arena + entry->count, sizeof result->count);
  result->words = result->count < (int32_t)entry->words ? result->count : (int32_t)entry->words;
  memcpy(result->intent, arena + entry->intent, sizeof result->intent);
  memcpy(result->tags, arena + entry->tags, (size_t)result->words * sizeof result->tags[0]);
  memcpy(result->spans, arena + entry->spans, (size_t)result->words * sizeof result->spans[0]);
  return result->words < result->count ? PQRNN_TOO_LONG : PQRNN_OK;
}

/* Runs of bytes between spaces: mostly as many as there are words, or fewer. */
static uint32_t guess_words(const uint8_t *text, size_t length) {
  uint32_t words = 0;
  for (size_t i = 0; i < length; ++i) words += text[i] > ' ' && (i == 0 || text[i - 1] <= ' ');
  return words;
}

int pqrnn_parse(const uint8_t *text, size_t length, pqrnn_result *result) {
  const uint32_t words = guess_words(text, length);
  int32_t bucket = 0;
  while (bucket < PQRNN_BUCKETS - 1 && (pqrnn_entries[bucket].bytes < length || pqrnn_entries[bucket].words < words)) ++bucket;
  int status = pqrnn_parse_in(bucket, text, length, result);
  while (status == PQRNN_TOO_LONG && ++bucket < PQRNN_BUCKETS) status = pqrnn_parse_in(bucket, text, length, result);
  return status;
}

const char *pqrnn_message(int status) {
  switch (status) {
    case PQRNN_OK: return "good";
    case PQRNN_TOO_LONG: return "the text has more bytes or more words than the parser was compiled for";
    case PQRNN_WRONG_KERNELS: return "kernels.o does not belong to these tables, or its interface is of another version";
    case PQRNN_KERNEL_FAILED: return "a kernel reports that it failed";
    default: return "unknown status";
  }
}
