// A host of a native parser: texts in, answers out as lines of JSON, in the form that `pqrnn conformance --answers` judges.
//
//   cc -DPARSER=mtop_en '-DHEADER="mtop_en.h"' -I. host.c libmtop_en.a -o host
//   ./host "turn off the kitchen lights"
//   jq -r '(.cases + .long_cases)[].text' home.json | ./host --base64 > answers.jsonl

#include HEADER
#include "answers.h"

#define JOINED(prefix, name) prefix##_##name
#define NAMED(prefix, name) JOINED(prefix, name)
#define CALL(name) NAMED(PARSER, name)

static char line[1 << 20];

// The uncalibrated score, whatever the parser says.
static double softmax(const pqrnn_answer_t *answer, int32_t intents) {
  double sum = 0;
  for (int32_t i = 0; i < intents; ++i) sum += exp((double)answer->intent_logits[i] - (double)answer->intent_logits[answer->intent]);
  return 1 / sum;
}

static void print_calibrated(const pqrnn_answer_t *answer) {
  printf(",\"calibrated\":{\"score\":%.17g,\"slots\":[", answer->score);
  for (int32_t i = 0; i < answer->slot_count; ++i) printf("%s%.17g", i ? "," : "", answer->slot_scores[i]);
  printf("]");
  if (answer->in_scope >= 0) printf(",\"in_scope\":%.17g", answer->in_scope);
  printf("}");
}

static void print_answer(const pqrnn_answer_t *answer, long id, int32_t intents, int32_t tags) {
  printf("{\"id\":%ld,\"intent\":", id);
  pqrnn_print_name(stdout, answer->intent_name);
  printf(",\"score\":%.9g,\"slots\":[", softmax(answer, intents));
  for (int32_t i = 0; i < answer->slot_count; ++i) {
    const pqrnn_answer_slot_t *slot = &answer->slots[i];
    printf("%s{\"label\":", i ? "," : "");
    pqrnn_print_name(stdout, slot->label);
    printf(",\"start\":%d,\"end\":%d}", (int)slot->start, (int)slot->end);
  }
  printf("],\"words\":[");
  for (int32_t word = 0; word < answer->words; ++word) {
    printf("%s[%d,%d]", word ? "," : "", (int)answer->spans[2 * word], (int)answer->spans[2 * word + 1]);
  }
  printf("],\"intent_logits\":");
  pqrnn_print_row(stdout, answer->intent_logits, intents);
  printf(",\"tag_logits\":[");
  for (int32_t word = 0; word < answer->words; ++word) {
    if (word) putchar(',');
    pqrnn_print_row(stdout, answer->tag_logits + (size_t)word * (size_t)tags, tags);
  }
  printf("]");
  if (answer->calibrated) print_calibrated(answer);
  if (answer->rejected) printf(",\"rejected\":true");
  if (answer->truncated) printf(",\"truncated\":true,\"prefix\":%d", (int)answer->read);
  printf("}\n");
}

int main(int argc, char **argv) {
  int base64 = 0, first = 1;
  uint32_t flags = 0;
  double least = 0;
  for (; first < argc && strncmp(argv[first], "--", 2) == 0; ++first) {
    base64 |= strcmp(argv[first], "--base64") == 0;
    if (strcmp(argv[first], "--truncate") == 0) flags |= PQRNN_NATIVE_TRUNCATE;
    if (strcmp(argv[first], "--recommended") == 0) least = PQRNN_NATIVE_RECOMMENDED;
  }
  struct NAMED(PARSER, parser) * parser;
#ifdef OPEN_IN  // a library for a board without a system allocates nothing
  void *memory = malloc(CALL(memory)());
  int status = CALL(open_in)(memory, memory ? CALL(memory)() : 0, &parser);
#else
  int status = CALL(open)(&parser);
#endif
  if (status == PQRNN_NATIVE_OK) status = CALL(set_min_score)(parser, least);
  pqrnn_answer_t answer;
  memset(&answer, 0, sizeof answer);
  answer.size = sizeof answer;
  for (long id = 0; status == PQRNN_NATIVE_OK; ++id) {
    long size;
    if (base64) {
      if (!fgets(line, sizeof line, stdin)) break;
      size = pqrnn_from_base64(line);
      if (size < 0) {
        fprintf(stderr, "line %ld: no base64\n", id + 1);
        return 2;
      }
    } else {
      if (first + id >= argc) break;
      size = (long)strlen(argv[first + id]);
    }
    status = CALL(parse)(parser, base64 ? line : argv[first + id], (size_t)size, flags, &answer);
    if (status == PQRNN_NATIVE_OK) {
      print_answer(&answer, id, CALL(intents)(), CALL(tags)());
    } else if (status == PQRNN_NATIVE_TOO_LONG) {
      printf("{\"id\":%ld,\"refused\":true}\n", id);
      status = PQRNN_NATIVE_OK;
    }
  }
  if (status) fprintf(stderr, "%s\n", CALL(message)(status));
#ifdef OPEN_IN
  free(memory);
#else
  CALL(close)(parser);
#endif
  return status == PQRNN_NATIVE_WRONG_PROCESSOR ? 3 : status ? 1 : 0;
}
