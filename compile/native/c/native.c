// A parser as a library: what stands behind the functions of its header. The file that includes this one defines PQRNN_NATIVE(name), the prefix of every
// function, the tables of the parser (its labels as in decode.h, its steps as in ../../standalone/c/player.h), and the constants below.
//
//   PQRNN_STATE_BYTES, PQRNN_ARENA_BYTES   memory that the steps use, kept from call to call or not
//   PQRNN_SETUP_COUNT                      steps that fill the former, once
//   PQRNN_KERNEL_COUNT                     kernels that the steps call
//   PQRNN_MOST_WORDS, PQRNN_END_COUNT      words of the largest bucket, and pqrnn_end_t that their search takes
//
_Static_assert(sizeof(pqrnn_end_t) == 16, "the memory for the search was reckoned so");

// Everything lives in one block of memory, which is the caller's or was allocated when the parser was opened: nothing is static but tables, and nothing is
// allocated later.

enum { BLOCK = 64 };

struct PQRNN_NATIVE(parser) {
  const kernel_library *kernels;
  uint8_t *places[PQRNN_PLACES];
  pqrnn_answer_slot_t *slots;
  pqrnn_end_t *ends;
  int32_t *tags;
  const float *intent;  // logits of the last text
  int32_t best;         // its intent
  double min_score, min_in_scope;
  void *allocated;
  uint16_t ordinals[PQRNN_KERNEL_COUNT];
};

typedef struct PQRNN_NATIVE(parser) parser_type;

static const pqrnn_calibration_t *const calibration = PQRNN_CALIBRATION;  // NULL where there is none

static size_t rounded(size_t size) { return (size + BLOCK - 1) / BLOCK * BLOCK; }

// Beside the work of the kernels there is room for that of the search wherever an entry leaves any; PQRNN_END_BYTES is 0 where all of them do.
enum { END_BYTES = PQRNN_END_BYTES };

PQRNN_EXPORT uint32_t PQRNN_NATIVE(abi)(void) { return PQRNN_NATIVE_ABI; }

PQRNN_EXPORT size_t PQRNN_NATIVE(memory)(void) {
  return BLOCK + rounded(sizeof(parser_type)) + rounded(PQRNN_STATE_BYTES) + rounded(PQRNN_ARENA_BYTES) + rounded(END_BYTES) +
         rounded(PQRNN_MOST_WORDS * sizeof(pqrnn_answer_slot_t)) + rounded(PQRNN_MOST_WORDS * sizeof(int32_t));
}

PQRNN_EXPORT const char *PQRNN_NATIVE(name)(void) { return PQRNN_NAME; }

PQRNN_EXPORT int32_t PQRNN_NATIVE(most_bytes)(void) { return pqrnn_buckets[pqrnn_package.bucket_count - 1].bytes; }

PQRNN_EXPORT int32_t PQRNN_NATIVE(intents)(void) { return pqrnn_package.intent_count; }

PQRNN_EXPORT int32_t PQRNN_NATIVE(tags)(void) { return pqrnn_package.tag_count; }

PQRNN_EXPORT const char *PQRNN_NATIVE(intent_name)(int32_t intent) {
  return intent >= 0 && intent < pqrnn_package.intent_count ? pqrnn_intent(&pqrnn_package, intent) : NULL;
}

PQRNN_EXPORT const char *PQRNN_NATIVE(tag_name)(int32_t tag) { return tag >= 0 && tag < pqrnn_package.tag_count ? pqrnn_tag(&pqrnn_package, tag) : NULL; }

PQRNN_EXPORT const char *PQRNN_NATIVE(message)(int status) {
  switch (status) {
    case PQRNN_NATIVE_OK: return "good";
    case PQRNN_NATIVE_TOO_LONG: return "the text has more bytes or more words than the parser reads; PQRNN_NATIVE_TRUNCATE reads what fits";
    case PQRNN_NATIVE_BAD_ARGUMENT: return "an argument is NULL, the answer's size is not set, or a least score is no probability";
    case PQRNN_NATIVE_NO_MEMORY: return "there is less memory than the parser works in";
    case PQRNN_NATIVE_WRONG_PROCESSOR: return "this processor lacks instructions that the parser was compiled for: " PQRNN_FEATURES;
    case PQRNN_NATIVE_WRONG_KERNELS: return "the kernels do not belong to this parser, or their interface is of another version";
    case PQRNN_NATIVE_KERNEL_FAILED: return "a kernel reports that it failed, or gave numbers that are not finite";
    case PQRNN_NATIVE_NO_CALIBRATION: return "the parser has no calibration, so no threshold is recommended; `pqrnn calibrate` makes one";
    default: return "unknown status";
  }
}

static int play(const parser_type *parser, const pqrnn_step *step, uint32_t count) {
  const step_context context = {
      .library = parser->kernels,
      .ordinals = parser->ordinals,
      .places = parser->places,
      .ranges = ranges,
      .constants = constants,
  };
  switch (run_steps(&context, step, count)) {
    case STEPS_DONE: return PQRNN_NATIVE_OK;
    case STEPS_WRONG_KERNELS: return PQRNN_NATIVE_WRONG_KERNELS;
    default: return PQRNN_NATIVE_KERNEL_FAILED;
  }
}

// Divides a block of memory up.
static parser_type *place(uint8_t *memory) {
  uint8_t *at = memory + (BLOCK - (uintptr_t)memory % BLOCK) % BLOCK;
  parser_type *parser = (parser_type *)(void *)at;
  at += rounded(sizeof *parser);
  parser->places[PQRNN_CONSTANTS] = (uint8_t *)(uintptr_t)PQRNN_NATIVE(weights);  // only read
  parser->places[PQRNN_STATE] = at;
  at += rounded(PQRNN_STATE_BYTES);
  parser->places[PQRNN_ARENA] = at;
  at += rounded(PQRNN_ARENA_BYTES);
  parser->ends = END_BYTES ? (pqrnn_end_t *)(void *)at : NULL;
  at += rounded(END_BYTES);
  parser->slots = (pqrnn_answer_slot_t *)(void *)at;
  at += rounded(PQRNN_MOST_WORDS * sizeof(pqrnn_answer_slot_t));
  parser->tags = (int32_t *)(void *)at;
  parser->intent = NULL;
  parser->best = 0;
  parser->min_score = parser->min_in_scope = 0;
  parser->allocated = NULL;
  return parser;
}

PQRNN_EXPORT int PQRNN_NATIVE(open_in)(void *memory, size_t size, parser_type **opened) {
  if (!opened) return PQRNN_NATIVE_BAD_ARGUMENT;
  *opened = NULL;
  if (!memory || size < PQRNN_NATIVE(memory)()) return PQRNN_NATIVE_NO_MEMORY;
  if (!fits_processor()) return PQRNN_NATIVE_WRONG_PROCESSOR;
  parser_type *parser = place(memory);
  parser->kernels = find_named_kernels(kernel_names, PQRNN_KERNEL_COUNT, parser->ordinals);
  if (!parser->kernels) return PQRNN_NATIVE_WRONG_KERNELS;
  const int status = play(parser, setup_steps, PQRNN_SETUP_COUNT);
  if (status) return status;
  *opened = parser;
  return PQRNN_NATIVE_OK;
}

#ifndef PQRNN_FREESTANDING
PQRNN_EXPORT int PQRNN_NATIVE(open)(parser_type **opened) {
  if (!opened) return PQRNN_NATIVE_BAD_ARGUMENT;
  void *memory = malloc(PQRNN_NATIVE(memory)());
  const int status = PQRNN_NATIVE(open_in)(memory, memory ? PQRNN_NATIVE(memory)() : 0, opened);
  if (status) {
    free(memory);
  } else {
    (*opened)->allocated = memory;
  }
  return status;
}

PQRNN_EXPORT void PQRNN_NATIVE(close)(parser_type *parser) {
  if (parser) free(parser->allocated);
}
#endif

// Returns the probability of an intent, whatever its slots; the logits are divided by a temperature.
static double softmax(const float *logits, int32_t chosen, double temperature) {
  double sum = 0;
  for (int32_t i = 0; i < pqrnn_package.intent_count; ++i) sum += pqrnn_exp(((double)logits[i] - (double)logits[chosen]) / temperature);
  return 1 / sum;
}

// Runs a text of at most its bytes in a bucket.
static int run_in(const parser_type *parser, int32_t bucket, const uint8_t *text, size_t size, pqrnn_outputs_t *outputs) {
  uint8_t *arena = parser->places[PQRNN_ARENA];
  const pqrnn_entry *entry = &entries[bucket];
  if (size) memcpy(arena + entry->text, text, size);
  memset(arena + entry->text + size, 0, entry->bytes - size);
  const int status = play(parser, steps + entry->first_step, entry->step_count);
  memcpy(&outputs->count, arena + entry->count, sizeof outputs->count);
  outputs->intent = (const float *)(const void *)(arena + entry->intent);
  outputs->tags = (const float *)(const void *)(arena + entry->tags);
  outputs->spans = (const int32_t *)(const void *)(arena + entry->spans);
  return status;
}

// Counts the characters before bytes that lie between two of them, in growing order.
typedef struct {
  const uint8_t *text;
  size_t size, at;
  int32_t count;
} character_counter;

static int32_t count_to(character_counter *counter, int32_t byte) {
  while (counter->at < (size_t)byte) {
    counter->at += pqrnn_character(counter->text + counter->at, counter->size - counter->at);
    ++counter->count;
  }
  return counter->count;
}

PQRNN_EXPORT int PQRNN_NATIVE(parse)(parser_type *parser, const char *text, size_t size, uint32_t flags, pqrnn_answer_t *answer) {
  if (!parser || !answer || answer->size < offsetof(pqrnn_answer_t, intent_logits) || (!text && size)) return PQRNN_NATIVE_BAD_ARGUMENT;
  const uint8_t *bytes = (const uint8_t *)text;
  const size_t limit = (size_t)pqrnn_buckets[pqrnn_package.bucket_count - 1].bytes;
  const size_t given = size;
  int truncated = size > limit;
  if (truncated) {
    if (!(flags & PQRNN_NATIVE_TRUNCATE)) return PQRNN_NATIVE_TOO_LONG;
    size = pqrnn_cut(bytes, size, limit);
  }
  const int32_t last = pqrnn_package.bucket_count - 1;
  int32_t bucket = truncated ? last : last > 0 ? pqrnn_choose(&pqrnn_package, size, guess_words(bytes, size)) : 0;
  pqrnn_outputs_t outputs;
  int status = run_in(parser, bucket, bytes, size, &outputs);
  if (!status && outputs.count > (int32_t)entries[bucket].words && bucket < last) {
    bucket = pqrnn_choose(&pqrnn_package, size, outputs.count);
    status = run_in(parser, bucket, bytes, size, &outputs);
  }
  if (status) return status;
  int32_t words = outputs.count;
  if (words > (int32_t)entries[bucket].words) {
    if (!(flags & PQRNN_NATIVE_TRUNCATE)) return PQRNN_NATIVE_TOO_LONG;
    words = (int32_t)entries[bucket].words;
    truncated = 1;
  }
  pqrnn_end_t *ends = parser->ends ? parser->ends : (pqrnn_end_t *)(void *)(parser->places[PQRNN_ARENA] + free_offsets[bucket]);
  const int32_t best = pqrnn_decide(&pqrnn_package, &outputs, words, ends, parser->tags);
  // The search is done: its memory holds a number for each word, and behind these one for each slot.
  double *logarithms = (double *)(void *)ends, *slot_scores = logarithms + words;
  pqrnn_confidence_t confidence = {softmax(outputs.intent, best, 1), -1};
  if (calibration) {
    pqrnn_log_tags(&pqrnn_package, &outputs, parser->tags, words, logarithms);
    confidence = pqrnn_judge(&pqrnn_package, calibration, &outputs, best, logarithms, words);
  }
  if (!(confidence.score >= 0)) return PQRNN_NATIVE_KERNEL_FAILED;
  character_counter counter = {bytes, given, 0, 0};
  pqrnn_slot_t slot;
  int32_t count = 0;
  for (int32_t word = 0, start = 0; pqrnn_next_slot(&pqrnn_package, parser->tags, outputs.spans, bytes, words, &word, &slot); start = word, ++count) {
    while (pqrnn_slots[parser->tags[start]] < 0) ++start;
    if (calibration) slot_scores[count] = pqrnn_judge_slot(calibration, logarithms, words, start, word);
    pqrnn_answer_slot_t *found = &parser->slots[count];
    found->label = slot.label;
    found->start = slot.start;
    found->end = slot.end;
    found->first = count_to(&counter, slot.start);
    found->last = count_to(&counter, slot.end);
  }
  parser->intent = outputs.intent;
  parser->best = best;
  answer->intent = best;
  answer->words = words;
  answer->truncated = truncated;
  answer->slot_count = count;
  answer->read = (int32_t)size;
  answer->score = confidence.score;
  answer->intent_name = pqrnn_intent(&pqrnn_package, best);
  answer->slots = parser->slots;
  if (answer->size >= offsetof(pqrnn_answer_t, in_scope)) {  // a host that was built with the header of version 1.0
    answer->intent_logits = outputs.intent;
    answer->tag_logits = outputs.tags;
    answer->spans = outputs.spans;
  }
  if (answer->size >= sizeof *answer) {  // of version 1.1
    const double in_scope = confidence.in_scope < 0 ? 1 : confidence.in_scope;
    answer->in_scope = confidence.in_scope;
    answer->calibrated = calibration != NULL;
    answer->rejected = !(confidence.score >= parser->min_score && in_scope >= parser->min_in_scope);
    answer->slot_scores = calibration ? slot_scores : NULL;
  }
  return PQRNN_NATIVE_OK;
}

PQRNN_EXPORT int PQRNN_NATIVE(set_min_score)(parser_type *parser, double min_score) {
  const int recommended = min_score == PQRNN_NATIVE_RECOMMENDED;
  if (!parser || !(recommended || (min_score >= 0 && min_score <= 1))) return PQRNN_NATIVE_BAD_ARGUMENT;
  if (recommended && !calibration) return PQRNN_NATIVE_NO_CALIBRATION;
  const int of_scope = recommended && calibration->recommends_scope;
  if (recommended) min_score = calibration->least;
  parser->min_score = of_scope ? 0 : min_score;
  parser->min_in_scope = of_scope ? min_score : 0;
  return PQRNN_NATIVE_OK;
}

// Writes intents from the largest logit down, of equals the first before, behind `count` that are there, one of which is `left_out`; -1 for none.
static int32_t rank_intents(const parser_type *parser, pqrnn_ranked_t *ranked, int32_t count, int32_t most, int32_t left_out) {
  const int32_t first = count;
  for (int32_t intent = 0; intent < pqrnn_package.intent_count; ++intent) {
    if (intent == left_out) continue;
    int32_t at = count < most ? count : most;
    while (at > first && parser->intent[ranked[at - 1].intent] < parser->intent[intent]) {
      if (at < most) ranked[at] = ranked[at - 1];
      --at;
    }
    if (at < most) ranked[at].intent = intent;
    if (count < most) ++count;
  }
  for (int32_t at = 0; at < count; ++at) {
    ranked[at].name = pqrnn_intent(&pqrnn_package, ranked[at].intent);
    ranked[at].score = softmax(parser->intent, ranked[at].intent, calibration ? calibration->temperature : 1);
  }
  return count;
}

PQRNN_EXPORT int32_t PQRNN_NATIVE(rank)(const parser_type *parser, pqrnn_ranked_t *ranked, int32_t most) {
  return parser && parser->intent && ranked ? rank_intents(parser, ranked, 0, most, -1) : 0;
}

PQRNN_EXPORT int32_t PQRNN_NATIVE(alternatives)(const parser_type *parser, pqrnn_ranked_t *ranked, int32_t most) {
  if (!parser || !parser->intent || !ranked || most < 1) return 0;
  ranked[0].intent = parser->best;
  return rank_intents(parser, ranked, 1, most, parser->best);
}
