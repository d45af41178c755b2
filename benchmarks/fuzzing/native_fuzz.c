// A host that parses texts of exactly their size on the heap, so that a sanitizer sees every byte read beyond one, and
// checks what an answer says of its text. Standard input has texts, each a uint32 with its size and its bytes.
//
//   cc -fsanitize=address,undefined -DPARSER=home '-DHEADER="home.h"' -I. native_fuzz.c home*.c kernels.o -o native_fuzz

#include HEADER

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOINED(prefix, name) prefix##_##name
#define NAMED(prefix, name) JOINED(prefix, name)
#define CALL(name) NAMED(PARSER, name)

static int fail(long id, const char *what) {
  fprintf(stderr, "text %ld: %s\n", id, what);
  return 1;
}

static int check(long id, const pqrnn_answer_t *answer, uint32_t size) {
  if (answer->intent < 0 || answer->intent >= CALL(intents)()) return fail(id, "there is no such intent");
  if (strcmp(answer->intent_name, CALL(intent_name)(answer->intent))) return fail(id, "the intent has another name");
  if (!(answer->score >= 0 && answer->score <= 1)) return fail(id, "the score is no probability");
  if (answer->words < 0 || (uint32_t)answer->words > size) return fail(id, "more words than bytes");
  if (answer->read < 0 || (uint32_t)answer->read > size) return fail(id, "more was read than there is");
  int32_t end = 0, last = 0;
  for (int32_t i = 0; i < answer->slot_count; ++i) {
    const pqrnn_answer_slot_t *slot = answer->slots + i;
    if (slot->start < end || slot->end <= slot->start || (uint32_t)slot->end > size) return fail(id, "a slot lies elsewhere");
    if (slot->first < last || slot->last <= slot->first) return fail(id, "a slot's code points lie elsewhere");
    if (!*slot->label) return fail(id, "a slot has no label");
    if (answer->calibrated && !(answer->slot_scores[i] >= 0 && answer->slot_scores[i] <= 1)) return fail(id, "a slot's score");
    end = slot->end, last = slot->last;
  }
  double sum = 0;
  for (int32_t i = 0; i < CALL(intents)(); ++i) sum += answer->intent_logits[i];
  for (int32_t i = 0; i < answer->words * CALL(tags)(); ++i) sum += answer->tag_logits[i];
  for (int32_t i = 0; i < 2 * answer->words; ++i) sum += answer->spans[i];
  return sum == sum ? 0 : fail(id, "a logit is no number");
}

int main(void) {
  struct NAMED(PARSER, parser) * parser;
  if (CALL(open)(&parser)) return fail(-1, "cannot be opened");
  uint32_t size;
  long id = 0;
  for (; fread(&size, sizeof size, 1, stdin) == 1; ++id) {
    char *text = malloc(size ? size : 1);
    if (!text || fread(text, 1, size, stdin) != size) return fail(id, "is cut off");
    pqrnn_answer_t answer;
    memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    const int status = CALL(parse)(parser, text, (int32_t)size, id % 2 ? PQRNN_NATIVE_TRUNCATE : 0, &answer);
    if (status && !(status == PQRNN_NATIVE_TOO_LONG && id % 2 == 0)) return fail(id, CALL(message)(status));
    if (!status && check(id, &answer, size)) return 1;
    pqrnn_ranked_t ranked[3];
    if (!status && CALL(alternatives)(parser, ranked, 3) < 1) return fail(id, "no alternative");
    free(text);
  }
  CALL(close)(parser);
  printf("%ld\n", id);
  return 0;
}
