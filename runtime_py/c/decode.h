// From a text to the bytes that a compiled parser reads, and from its numbers to intent and slots. C99, no allocation, no runtime of any kind:
// the same file serves a host with IREE's C runtime (parse.c) and one without. The rules are those of ../ABI.md; the search for the best parse is that of
// ../decode/frame_search.py, with the same names.

#ifndef PQRNN_DECODE_H_
#define PQRNN_DECODE_H_

#include <stddef.h>
#include <stdint.h>
#ifndef PQRNN_FREESTANDING  // who defines it brings INFINITY, isinf, atoi, memcpy, memset and strchr
#include <math.h>
#include <stdlib.h>
#include <string.h>
#endif

#define PQRNN_ABI 1

// What the search for the best parse of a text may cost, as in ../decode/search_limits.py: one word ending in one slot, in one state, costs 1. Another number
// gives other answers to texts that are no commands.
#ifndef PQRNN_BUDGET
#define PQRNN_BUDGET 40000
#endif
#define PQRNN_SLACK 1e-6  // added to bounds, whose sums are rounded in another order than those of parses

// One compiled entry: at most so many words in at most so many bytes; the bytes are a multiple of 4.
typedef struct {
  int32_t words, bytes;
  const char *entry;
} pqrnn_bucket_t;

// Slots that an intent came with in training: known_slots[first, first + count), growing, and what they add to the logits, which many have in common:
// bonuses[bonus].
typedef struct {
  uint32_t bonus;
  uint32_t first : 28, count : 4;
} pqrnn_known_t;

// What a host has to know of a package; `pqrnn conformance PACKAGE --header package.h` writes it.
typedef struct {
  int32_t abi;
  int32_t bucket_count, intent_count, tag_count, slot_count;
  const pqrnn_bucket_t *buckets;  // they grow
  const char *names;        // of intents and tags, one after the other; by offsets, since pointers would have to be set when a library is loaded
  const uint32_t *intents;  // [intent_count]: where the name of each is
  const uint32_t *tags;     // [tag_count]: "O", "B-label", "I-label", "B2-label" (begins two code points before the end of its word)
  const int16_t *slots;     // [tag_count]: the slot that a tag belongs to, -1 for "O"
  const uint8_t *frames;    // for each intent bits, lowest first, in whole bytes: 1 where the slot goes with it; NULL where every slot goes with every intent
  const pqrnn_known_t *known;     // of each intent, the largest bonus first; NULL where parses are not weighed by that
  const double *bonuses;
  const int16_t *known_slots;
  const int32_t *known_of;  // [intent_count + 1]: those of an intent are known[known_of[intent], known_of[intent + 1])
  const double *unseen;     // [intent_count]: the bonus of any other slots
  int32_t widest;           // pqrnn_end_t that a word takes at most in pqrnn_viterbi_with_counts
  double penalty;           // what a slot costs that does not go with the intent; INFINITY where it is forbidden
  double margin;            // how much smaller than the largest an intent's logit may be to be chosen all the same
} pqrnn_package_t;

// The numbers of one text, as an entry gives them.
typedef struct {
  const float *intent;   // [intent_count]
  const float *tags;     // [words of the bucket][tag_count]
  const int32_t *spans;  // [words of the bucket][2]: first byte, byte after the last
  int32_t count;         // words in the text; more than the bucket has means that the bucket was too small
} pqrnn_outputs_t;

// Returns how many bytes the next character takes, or the maximal part of an ill-formed one (Unicode, chapter 3.9). There has to be a byte.
static inline size_t pqrnn_character(const uint8_t *text, size_t size) {
  const uint8_t lead = text[0];
  uint8_t low = 0x80, high = 0xBF;  // of the second byte
  size_t more;
  if (lead < 0xC2 || lead > 0xF4) return 1;  // ASCII, a stray continuation, or a byte that is in no UTF-8
  if (lead < 0xE0) {
    more = 1;
  } else if (lead < 0xF0) {
    more = 2;
    if (lead == 0xE0) low = 0xA0;   // shorter forms exist
    if (lead == 0xED) high = 0x9F;  // surrogates
  } else {
    more = 3;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;  // beyond U+10FFFF
  }
  size_t taken = 1;
  while (taken <= more && taken < size && text[taken] >= low && text[taken] <= high) {
    ++taken;
    low = 0x80, high = 0xBF;
  }
  return taken;
}

// Returns how many bytes of a text are read where at most `limit` can be: the cut is between two characters, and at a space where one is near.
static inline size_t pqrnn_cut(const uint8_t *text, size_t size, size_t limit) {
  if (size <= limit) return size;
  size_t end = 0;
  for (size_t next = 0; next <= limit; next += pqrnn_character(text + next, size - next)) end = next;
  if (text[end] <= 0x20) return end;
  for (size_t back = end; back-- > 0 && end - back <= 64;) {
    if (text[back] == ' ') return back > 0 ? back : end;
  }
  return end;
}

// Returns the number of the smallest bucket for so many bytes and words; that of the largest where none is large enough.
static inline int32_t pqrnn_choose(const pqrnn_package_t *package, size_t bytes, int32_t words) {
  int32_t chosen = 0;
  while (chosen < package->bucket_count - 1 &&
         (package->buckets[chosen].words < words || (size_t)package->buckets[chosen].bytes < bytes)) {
    ++chosen;
  }
  return chosen;
}

// Returns the first of the largest numbers. Eight maxima are kept side by side, for vectors: one alone waits for each comparison.
static inline int32_t pqrnn_largest(const float *values, int32_t count) {
  enum { LANES = 8 };
  float most[LANES];
  int32_t at = 0;
  if (values[0] != values[0]) return 0;  // nothing is larger than NaN
  for (int32_t i = 0; i < LANES; ++i) most[i] = values[0];
  for (; at + LANES <= count; at += LANES) {
    for (int32_t i = 0; i < LANES; ++i) most[i] = values[at + i] > most[i] ? values[at + i] : most[i];
  }
  for (; at < count; ++at) most[0] = values[at] > most[0] ? values[at] : most[0];
  for (int32_t half = LANES / 2; half > 0; half /= 2) {
    for (int32_t i = 0; i < half; ++i) most[i] = most[i + half] > most[i] ? most[i + half] : most[i];
  }
  int32_t best = 0;
  while (values[best] != most[0]) ++best;
  return best;
}

// One slot: a label, its first byte and the byte after its last.
typedef struct {
  const char *label;
  int32_t start, end;
} pqrnn_slot_t;

// Returns the label of a tag that is not "O": what stands behind its first dash.
static inline const char *pqrnn_label(const char *tag) { return strchr(tag, '-') + 1; }

// Return the name of an intent or of a tag.
static inline const char *pqrnn_intent(const pqrnn_package_t *package, int32_t intent) { return package->names + package->intents[intent]; }

static inline const char *pqrnn_tag(const pqrnn_package_t *package, int32_t tag) { return package->names + package->tags[tag]; }

// Returns what slots that an intent came with add to the logits.
static inline double pqrnn_bonus(const pqrnn_package_t *package, const pqrnn_known_t *known) { return package->bonuses[known->bonus]; }

// Returns whether a slot goes with an intent.
static inline int pqrnn_goes(const pqrnn_package_t *package, int32_t intent, int32_t slot) {
  const size_t bytes = ((size_t)package->slot_count + 7) / 8;
  return !package->frames || package->frames[(size_t)intent * bytes + (size_t)slot / 8] >> slot % 8 & 1;
}

// Returns whether words with these tags make sense: every slot has a beginning, and goes with the intent.
static inline int pqrnn_is_frame(const pqrnn_package_t *package, int32_t intent, const int32_t *tags, int32_t words) {
  int32_t before = -1;
  for (int32_t word = 0; word < words; ++word) {
    const int32_t slot = package->slots[tags[word]];
    if (slot >= 0) {
      if (!pqrnn_goes(package, intent, slot)) return 0;
      if (slot != before && pqrnn_tag(package, tags[word])[0] == 'I') return 0;
    }
    before = slot;
  }
  return 1;
}

// How a word ends in a slot: the sum of logits up to it, and its tag.
typedef struct {
  double sum;
  int32_t tag;
} pqrnn_end_t;

// What a text's logits say before the search.
typedef struct {
  double most;           // sum of each word's largest logit
  double least;          // smallest logit that an intent may have
  const uint8_t *named;  // [slot_count]: 1 where the slot is that of a word's largest logit; NULL where a slot has to go with its intent
} pqrnn_limits_t;

// Returns how many pqrnn_end_t hold one byte for each slot.
static inline size_t pqrnn_ends_of_bytes(const pqrnn_package_t *package) { return (size_t)package->slot_count / sizeof(pqrnn_end_t) + 1; }

// Returns how many pqrnn_end_t `pqrnn_decide` works in for so many words: a table, behind it room for one number a word, for two numbers and for one byte a slot.
static inline size_t pqrnn_ends(const pqrnn_package_t *package, int32_t words) {
  const int32_t width = package->slot_count + 1 > package->widest ? package->slot_count + 1 : package->widest;
  return (size_t)(words + 1) * (size_t)(width + 1) + (size_t)package->slot_count + pqrnn_ends_of_bytes(package);
}

// Returns whether words may be in a slot beside an intent.
static inline int pqrnn_may_be(const pqrnn_package_t *package, const pqrnn_limits_t *limits, int32_t intent, int32_t slot) {
  return pqrnn_goes(package, intent, slot) || (limits->named && limits->named[slot]);
}

// Takes what a step costs from what is left; returns 0 where it is too much.
static inline int pqrnn_take(int64_t *left, int64_t cost) {
  if (cost > *left) return 0;
  *left -= cost;
  return 1;
}

// Returns what `pqrnn_viterbi` costs: each word is tried in each slot that may be, and outside of slots.
static inline int64_t pqrnn_viterbi_cost(const pqrnn_package_t *package, const pqrnn_limits_t *limits, int32_t words, int32_t intent) {
  int64_t slots = 0;
  for (int32_t slot = 0; slot < package->slot_count; ++slot) slots += pqrnn_may_be(package, limits, intent, slot);
  return words * (slots + 1);
}

// Returns what `pqrnn_viterbi_with_counts` costs: each word is tried in each state, in each of the slots and outside.
static inline int64_t pqrnn_counts_cost(int32_t words, const int16_t *slots, int32_t count) {
  int64_t states = 1, kinds = 0;
  for (int32_t at = 0, own = 0; at < count; ++at) {
    ++own;
    if (at + 1 < count && slots[at + 1] == slots[at]) continue;
    states *= own + 1, own = 0, ++kinds;
  }
  return words * states * (kinds + 1);
}

// Lower bounds of what a parse loses against the sum of each word's largest logit: if a slot begins anywhere, and if it is nowhere.
typedef struct {
  double *present, *absent;  // [slot_count]
  double all_absent;
} pqrnn_losses_t;

static inline pqrnn_losses_t pqrnn_bound_losses(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, int32_t words, double *memory) {
  pqrnn_losses_t losses = {memory, memory + package->slot_count, 0};
  for (int32_t slot = 0; slot < package->slot_count; ++slot) losses.present[slot] = INFINITY, losses.absent[slot] = 0;
  for (int32_t word = 0; word < words; ++word) {
    const float *row = outputs->tags + (size_t)word * (size_t)package->tag_count;
    const int32_t largest = pqrnn_largest(row, package->tag_count);
    double second = INFINITY;
    for (int32_t tag = 0; tag < package->tag_count; ++tag) {
      const int32_t slot = package->slots[tag];
      const double loss = (double)row[largest] - (double)row[tag];
      if (slot >= 0 && pqrnn_tag(package, tag)[0] == 'B' && loss < losses.present[slot]) losses.present[slot] = loss;
      if (tag != largest && loss < second) second = loss;
    }
    if (package->tag_count == 1) second = 0;
    if (package->slots[largest] >= 0) losses.absent[package->slots[largest]] += second;
  }
  for (int32_t slot = 0; slot < package->slot_count; ++slot) losses.all_absent += losses.absent[slot];
  return losses;
}

// Returns the bound for a parse with just these slots, growing: each begins at a word of its own.
static inline double pqrnn_loss(const pqrnn_losses_t *losses, const int16_t *slots, int32_t count) {
  double there = 0, elsewhere = losses->all_absent;
  for (int32_t at = 0; at < count; ++at) {
    there += losses->present[slots[at]];
    if (at == 0 || slots[at] != slots[at - 1]) elsewhere -= losses->absent[slots[at]];
  }
  return (there > elsewhere ? there : elsewhere) - PQRNN_SLACK;
}

// Finds the tags with the largest sum of logits among those that go with an intent, by the algorithm of Viterbi. Returns the sum, and leaves in `ends` for
// each word how it ends in each slot, and behind those how it ends best: there `tag` is the slot, slot_count for none.
static inline double pqrnn_viterbi(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, const pqrnn_limits_t *limits, int32_t words, int32_t intent,
                                   pqrnn_end_t *ends) {
  const int32_t slots = package->slot_count;
  for (int32_t slot = 0; slot < slots; ++slot) ends[slot].sum = -INFINITY, ends[slot].tag = -1;
  ends[slots].sum = 0, ends[slots].tag = slots;
  for (int32_t word = 0; word < words; ++word) {
    const float *row = outputs->tags + (size_t)word * (size_t)package->tag_count;
    const pqrnn_end_t *before = ends + (size_t)word * (size_t)(slots + 1);
    pqrnn_end_t *after = ends + (size_t)(word + 1) * (size_t)(slots + 1);
    for (int32_t slot = 0; slot <= slots; ++slot) after[slot].sum = -INFINITY, after[slot].tag = slots;
    for (int goes_on = 0; goes_on < 2; ++goes_on) {  // beginnings first: of equals they are taken
      for (int32_t tag = 0; tag < package->tag_count; ++tag) {
        const int32_t slot = package->slots[tag];
        if (slot < 0 || (pqrnn_tag(package, tag)[0] == 'I') != goes_on) continue;
        if (!pqrnn_may_be(package, limits, intent, slot)) continue;
        const double cost = goes_on || pqrnn_goes(package, intent, slot) ? 0 : package->penalty;
        const double sum = before[goes_on ? slot : slots].sum - cost + (double)row[tag];
        if (sum > after[slot].sum) after[slot].sum = sum, after[slot].tag = tag;
      }
    }
    for (int32_t tag = 0; tag < package->tag_count; ++tag) {
      if (package->slots[tag] < 0) after[slots].sum = before[slots].sum + (double)row[tag];
    }
    for (int32_t slot = 0; slot < slots; ++slot) {
      if (after[slot].sum > after[slots].sum) after[slots].sum = after[slot].sum, after[slots].tag = slot;
    }
  }
  return ends[(size_t)words * (size_t)(slots + 1) + (size_t)slots].sum;
}

// Reads from what `pqrnn_viterbi` left each word's tag.
static inline void pqrnn_viterbi_path(const pqrnn_package_t *package, const pqrnn_end_t *ends, int32_t words, int32_t *tags) {
  const int32_t slots = package->slot_count;
  for (int32_t word = words, slot = slots; word > 0; --word) {
    const pqrnn_end_t *row = ends + (size_t)word * (size_t)(slots + 1);
    if (slot == slots) slot = row[slots].tag;
    if (slot == slots) {
      int32_t outside = 0;
      while (package->slots[outside] >= 0) ++outside;
      tags[word - 1] = outside;
    } else {
      tags[word - 1] = row[slot].tag;
      if (pqrnn_tag(package, row[slot].tag)[0] != 'I') slot = slots;
    }
  }
}

// Returns the logit of an intent, and where `weighed` the largest bonus that it has with it; minus infinity for one that may not be chosen.
static inline double pqrnn_bound(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, const pqrnn_limits_t *limits, int32_t intent, int weighed) {
  const double logit = (double)outputs->intent[intent];
  if (logit < limits->least) return -INFINITY;
  if (!weighed) return logit;
  const int32_t first = package->known_of[intent];
  return logit + (first < package->known_of[intent + 1] ? pqrnn_bonus(package, package->known + first) : package->unseen[intent]);
}

// Finds the next intent in the order of `pqrnn_bound`: from the largest down, of equals the first; `last` is the one before, -1 at the start. Returns -1 after
// the last one.
static inline int32_t pqrnn_next_intent(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, const pqrnn_limits_t *limits, int32_t last,
                                        int weighed) {
  int32_t next = -1;
  double largest = 0;
  const double before = last < 0 ? INFINITY : pqrnn_bound(package, outputs, limits, last, weighed);
  for (int32_t intent = 0; intent < package->intent_count; ++intent) {
    const double value = pqrnn_bound(package, outputs, limits, intent, weighed);
    if ((value < before || (value == before && intent > last)) && (next < 0 || value > largest)) next = intent, largest = value;
  }
  return next;
}

// Returns the prior of tagged words: what their slots add to the logits.
static inline double pqrnn_prior(const pqrnn_package_t *package, int32_t intent, const int32_t *tags, int32_t words) {
  int32_t count = 0;
  for (int32_t word = 0; word < words; ++word) count += pqrnn_tag(package, tags[word])[0] == 'B';
  for (int32_t at = package->known_of[intent]; at < package->known_of[intent + 1]; ++at) {
    const pqrnn_known_t *known = package->known + at;
    const int16_t *slots = package->known_slots + known->first;
    int32_t right = count == (int32_t)known->count;
    for (int32_t i = 0; i < count && right; ++i) {  // as many of this slot among the words as in the frame
      int32_t own = 0, wanted = 0;
      for (int32_t word = 0; word < words; ++word) own += pqrnn_tag(package, tags[word])[0] == 'B' && package->slots[tags[word]] == slots[i];
      for (int32_t other = 0; other < count; ++other) wanted += slots[other] == slots[i];
      right = own == wanted;
    }
    if (right) return pqrnn_bonus(package, known);
  }
  return package->unseen[intent];
}

// Finds the tags with the largest sum of logits among those with just these slots, which grow, each as often as it is given. Returns the sum, minus infinity
// where there are no such tags, and leaves the tags in `tags`. The state is how many of each slot have begun so far, as one number; for each word and state
// stands in `ends` how the word ends in each of the slots, and behind those how it ends best: there `tag` is the index of the slot among these, -1 for none.
static inline double pqrnn_viterbi_with_counts(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, int32_t words, const int16_t *slots,
                                               int32_t count, pqrnn_end_t *ends, int32_t *tags) {
  int32_t kinds = 0, first[16], strides[17] = {1};
  if (count > 16) return -INFINITY;  // no package has them
  for (int32_t at = 0; at < count; ++at) {
    if (at == 0 || slots[at] != slots[at - 1]) first[kinds++] = at, strides[kinds] = strides[kinds - 1];
    strides[kinds] += strides[kinds - 1];
  }
  const int32_t states = strides[kinds], width = kinds + 1;
  for (int32_t at = 0; at < states * width; ++at) ends[at].sum = -INFINITY, ends[at].tag = -1;
  ends[kinds].sum = 0;
  for (int32_t word = 0; word < words; ++word) {
    const float *row = outputs->tags + (size_t)word * (size_t)package->tag_count;
    const pqrnn_end_t *before = ends + (size_t)word * (size_t)(states * width);
    pqrnn_end_t *after = ends + (size_t)(word + 1) * (size_t)(states * width);
    for (int32_t state = 0; state < states; ++state) {
      pqrnn_end_t *own = after + state * width;
      for (int32_t kind = 0; kind < width; ++kind) own[kind].sum = -INFINITY, own[kind].tag = -1;
      for (int goes_on = 0; goes_on < 2; ++goes_on) {  // beginnings first: of equals they are taken
        for (int32_t tag = 0; tag < package->tag_count; ++tag) {
          if (package->slots[tag] < 0 || (pqrnn_tag(package, tag)[0] == 'I') != goes_on) continue;
          for (int32_t kind = 0; kind < kinds; ++kind) {
            if (slots[first[kind]] != package->slots[tag] || state % strides[kind + 1] < strides[kind]) continue;
            const double sum = (goes_on ? before[state * width + kind].sum : before[(state - strides[kind]) * width + kinds].sum) + (double)row[tag];
            if (sum > own[kind].sum) own[kind].sum = sum, own[kind].tag = tag;
          }
        }
      }
      for (int32_t tag = 0; tag < package->tag_count; ++tag) {
        if (package->slots[tag] < 0) own[kinds].sum = before[state * width + kinds].sum + (double)row[tag];
      }
      for (int32_t kind = 0; kind < kinds; ++kind) {
        if (own[kind].sum > own[kinds].sum) own[kinds].sum = own[kind].sum, own[kinds].tag = kind;
      }
    }
  }
  const double sum = ends[(size_t)(words * states + states - 1) * (size_t)width + (size_t)kinds].sum;
  if (sum == -INFINITY) return sum;
  for (int32_t word = words, state = states - 1, kind = -1; word > 0; --word) {
    const pqrnn_end_t *row = ends + (size_t)(word * states + state) * (size_t)width;
    if (kind < 0) kind = row[kinds].tag;
    if (kind < 0) {
      tags[word - 1] = 0;
      while (package->slots[tags[word - 1]] >= 0) ++tags[word - 1];
    } else {
      tags[word - 1] = row[kind].tag;
      if (pqrnn_tag(package, row[kind].tag)[0] != 'I') state -= strides[kind], kind = -1;
    }
  }
  return sum;
}

// Decides on a text without a prior: returns the intent, and leaves the sum of logits in `value`, in `tags`, which holds each word's largest, its tag. Where
// these make no sense together, it takes the intent and tags with the largest sum that do, as far as `left` lasts; minus infinity where none do.
static inline int32_t pqrnn_search_intents(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, const pqrnn_limits_t *limits, int32_t words,
                                           pqrnn_end_t *ends, int32_t *tags, double *value, int64_t *left) {
  int32_t best = pqrnn_largest(outputs->intent, package->intent_count);
  *value = limits->most + (double)outputs->intent[best];
  if (pqrnn_is_frame(package, best, tags, words)) return best;
  *value = -INFINITY;
  int32_t tried = 0;
  for (int32_t next = -1; (next = pqrnn_next_intent(package, outputs, limits, next, 0)) >= 0; ++tried) {
    const double logit = pqrnn_bound(package, outputs, limits, next, 0);
    if (*value > -INFINITY && logit + limits->most <= *value) break;
    if (!pqrnn_take(left, pqrnn_viterbi_cost(package, limits, words, next)) && tried) break;  // the first has its turn whatever it costs
    const double sum = pqrnn_viterbi(package, outputs, limits, words, next, ends) + logit;
    if (sum > *value) {
      *value = sum;
      best = next;
      pqrnn_viterbi_path(package, ends, words, tags);
    }
  }
  return best;
}

// Decides on a text: returns the intent, and leaves each word's tag in `tags`: of all that make sense those with the largest sum of logits and of what their
// slots add to it, or the best of those that PQRNN_BUDGET suffices to look at. `ends` is memory to work in, as much as `pqrnn_ends` says.
static inline int32_t pqrnn_decide(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, int32_t words, pqrnn_end_t *ends, int32_t *tags) {
  pqrnn_end_t *behind = ends + pqrnn_ends(package, words) - pqrnn_ends_of_bytes(package);
  uint8_t *named = (uint8_t *)behind;
  pqrnn_limits_t limits = {0, (double)outputs->intent[pqrnn_largest(outputs->intent, package->intent_count)] - package->margin, NULL};
  if (!isinf(package->penalty)) memset(named, 0, (size_t)package->slot_count), limits.named = named;
  for (int32_t word = 0; word < words; ++word) {
    const float *row = outputs->tags + (size_t)word * (size_t)package->tag_count;
    tags[word] = pqrnn_largest(row, package->tag_count);
    limits.most += (double)row[tags[word]];
    if (limits.named && package->slots[tags[word]] >= 0) named[package->slots[tags[word]]] = 1;
  }
  double value;
  int64_t left = PQRNN_BUDGET;
  const int32_t plain = pqrnn_search_intents(package, outputs, &limits, words, ends, tags, &value, &left);
  if (!package->known || value == -INFINITY) return plain;
  value += pqrnn_prior(package, plain, tags, words);
  behind -= package->slot_count;
  int32_t best = plain, *found = (int32_t *)(behind - (words + 1));
  pqrnn_losses_t losses = {NULL, NULL, 0};  // made where they are first asked for, which most texts never do
  for (int32_t next = -1; (next = pqrnn_next_intent(package, outputs, &limits, next, 1)) >= 0;) {
    if (limits.most + pqrnn_bound(package, outputs, &limits, next, 1) <= value) break;
    const double logit = (double)outputs->intent[next];
    for (int32_t at = package->known_of[next] - (next != plain); at < package->known_of[next + 1]; ++at) {
      double sum;
      if (at < package->known_of[next]) {  // before those that are known the best one of the logits alone, for slots that the intent never came with
        if (limits.most + logit + package->unseen[next] <= value) continue;
        if (!pqrnn_take(&left, pqrnn_viterbi_cost(package, &limits, words, next))) return best;
        sum = pqrnn_viterbi(package, outputs, &limits, words, next, ends) + logit;
        pqrnn_viterbi_path(package, ends, words, found);
        sum += pqrnn_prior(package, next, found, words);
      } else {
        const pqrnn_known_t *known = package->known + at;
        if (limits.most + logit + pqrnn_bonus(package, known) <= value) break;
        const int16_t *slots = package->known_slots + known->first;
        if (!losses.present) losses = pqrnn_bound_losses(package, outputs, words, (double *)behind);
        if (limits.most - pqrnn_loss(&losses, slots, known->count) + logit + pqrnn_bonus(package, known) <= value) {
          if (!pqrnn_take(&left, 1)) return best;
          continue;
        }
        if (!pqrnn_take(&left, pqrnn_counts_cost(words, slots, known->count))) return best;
        sum = pqrnn_viterbi_with_counts(package, outputs, words, slots, known->count, ends, found) + logit + pqrnn_bonus(package, known);
      }
      if (sum > value) {
        value = sum;
        best = next;
        memcpy(tags, found, (size_t)words * sizeof *tags);
      }
    }
  }
  return best;
}

// Returns the byte at which the last so many characters of text[start, end) begin: start where it has no more of them.
static inline int32_t pqrnn_find_tail(const uint8_t *text, int32_t start, int32_t end, int characters) {
  int32_t at = start;
  int count = 0;
  for (; at < end; at += (int32_t)pqrnn_character(text + at, (size_t)(end - at))) ++count;
  for (at = start; count > characters; --count) at += (int32_t)pqrnn_character(text + at, (size_t)(end - at));
  return at;
}

// Finds the next slot at or after *word, of so many words of a text with the tags that `pqrnn_decide` chose, and moves *word behind it; returns 0 where there
// is none. B2- begins one two characters before the end of its word.
static inline int pqrnn_next_slot(const pqrnn_package_t *package, const int32_t *tags, const int32_t *spans, const uint8_t *text, int32_t words,
                                  int32_t *word, pqrnn_slot_t *slot) {
  while (*word < words && package->slots[tags[*word]] < 0) ++*word;
  if (*word >= words) return 0;
  const char *tag = pqrnn_tag(package, tags[*word]);
  const int32_t number = package->slots[tags[*word]];
  slot->label = pqrnn_label(tag);
  slot->start = spans[2 * *word];
  if (tag[1] != '-') slot->start = pqrnn_find_tail(text, slot->start, spans[2 * *word + 1], atoi(tag + 1));
  do {
    slot->end = spans[2 * *word + 1];
    ++*word;
  } while (*word < words && package->slots[tags[*word]] == number && pqrnn_tag(package, tags[*word])[0] == 'I');
  return 1;
}

#endif  // PQRNN_DECODE_H_
