// What a calibration makes of the numbers of a parse: probabilities, as in ../decode/calibration.py, with the same names. C99, no allocation, no mathematics
// of a C library. It is for use after `pqrnn_decide`, whose memory serves again.

#ifndef PQRNN_CALIBRATION_H_
#define PQRNN_CALIBRATION_H_

#include "decode.h"

#define PQRNN_CLIP 15.0  // log odds beyond which nothing is told apart

enum { PQRNN_SUMMARY = 7 };  // numbers by which texts in scope differ from others

typedef struct {
  double x, y;
} pqrnn_knot_t;

// A calibration; `pqrnn conformance PACKAGE --header package.h` and `pqrnn native` write it.
typedef struct {
  double temperature;                         // what logits of intents are divided by before they are ranked
  double right_intent, right_tags, right_bias;  // a parse is right
  double slot_tags, slot_bias;                // a slot is right, where has_slots
  double scope_summary[PQRNN_SUMMARY], scope_bias;  // a text is in scope, where has_scope
  const double *scope_intents;                // [intent_count]; NULL where only the summary counts
  const pqrnn_knot_t *knots;                  // they grow
  int32_t knot_count, has_slots, has_scope;
  int32_t recommends_scope;                   // 1 where the recommended threshold is one of being in scope
  double least;                               // the recommended threshold
} pqrnn_calibration_t;

// What is said of a parse.
typedef struct {
  double score;     // probability that the text is in scope and its parse is right
  double in_scope;  // probability that the text is in scope; -1 where that is not known
} pqrnn_confidence_t;

typedef union {
  double value;
  uint64_t bits;
} pqrnn_double_bits;

// Returns e to the power of x, which is cut to the range from -700 to 700. NaN stays NaN.
static inline double pqrnn_exp(double x) {
  x = x < -700 ? -700 : x;
  x = x > 700 ? 700 : x;
  const double half = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds, and leaves the whole number in the lowest bits
  pqrnn_double_bits turns, power;
  turns.value = x * 1.4426950408889634 + half;
  const double whole = turns.value - half;
  const double r = (x - whole * 6.93147180369123816490e-01) - whole * 1.90821492927058770002e-10;
  double sum = 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  sum = sum * r + 1;
  power.bits = (turns.bits + 1023) << 52;
  return sum * power.value;
}

// Returns the natural logarithm of a positive number that is neither denormal nor infinite. NaN stays NaN.
static inline double pqrnn_log(double x) {
  pqrnn_double_bits parts;
  if (x != x) return x;
  parts.value = x;
  int32_t exponent = (int32_t)(parts.bits >> 52) - 1023;
  parts.bits = (parts.bits & 0xFFFFFFFFFFFFF) | (uint64_t)1023 << 52;
  if (parts.value > 1.4142135623730951) parts.value /= 2, ++exponent;
  const double s = (parts.value - 1) / (parts.value + 1), square = s * s;
  double sum = 0;
  for (int32_t odd = 21; odd > 1; odd -= 2) sum = (sum + 1.0 / odd) * square;
  return exponent * 6.93147180369123816490e-01 + (2 * s * (1 + sum) + exponent * 1.90821492927058770002e-10);
}

// Returns e to the power of x, less 1, for x up to 0.
static inline double pqrnn_expm1(double x) {
  if (!(x > -0.5)) return pqrnn_exp(x) - 1;
  double sum = 0;
  for (int32_t term = 17; term > 0; --term) sum = (sum + 1) * x / term;
  return sum;
}

static inline double pqrnn_sigmoid(double value) {
  const double small = pqrnn_exp((value < 0 ? value : -value) / 2), power = small * small;  // in two steps: the result may be tiny
  return (value < 0 ? power : 1) / (1 + power);
}

static inline double pqrnn_clipped(double odds) { return odds > PQRNN_CLIP ? PQRNN_CLIP : odds < -PQRNN_CLIP ? -PQRNN_CLIP : odds; }

// Returns the log odds of a probability that is given by its logarithm.
static inline double pqrnn_log_odds(double logarithm) {
  return logarithm >= 0 ? PQRNN_CLIP : pqrnn_clipped(logarithm - pqrnn_log(-pqrnn_expm1(logarithm)));
}

// Returns the logarithm of the sum of the powers of e.
static inline double pqrnn_log_sum(const float *logits, int32_t count) {
  enum { PART = 8 };  // so many at once, for vectors
  const double largest = (double)logits[pqrnn_largest(logits, count)];
  double sum = 0, part[PART];
  int32_t at = 0;
  for (; at + PART <= count; at += PART) {
    for (int32_t i = 0; i < PART; ++i) part[i] = pqrnn_exp((double)logits[at + i] - largest);
    for (int32_t i = 0; i < PART; ++i) sum += part[i];
  }
  for (; at < count; ++at) sum += pqrnn_exp((double)logits[at] - largest);
  return pqrnn_log(sum) + largest;
}

// Writes the logarithm of the probability of each word's tag.
static inline void pqrnn_log_tags(const pqrnn_package_t *package, const pqrnn_outputs_t *outputs, const int32_t *tags, int32_t words, double *logarithms) {
  for (int32_t word = 0; word < words; ++word) {
    const float *row = outputs->tags + (size_t)word * (size_t)package->tag_count;
    logarithms[word] = (double)row[tags[word]] - pqrnn_log_sum(row, package->tag_count);
  }
}

// Returns the height of the line through knots; outside of them it is level.
static inline double pqrnn_interpolate(const pqrnn_calibration_t *calibration, double x) {
  const pqrnn_knot_t *knot = calibration->knots, *last = knot + calibration->knot_count - 1;
  if (!(x > knot->x)) return x != x ? x : knot->y;
  while (knot < last && knot[1].x <= x) ++knot;
  return knot == last ? last->y : (knot[1].y - knot->y) / (knot[1].x - knot->x) * (x - knot->x) + knot->y;
}

// Returns how probable it is that a text is in scope. `tags` is the sum of the words' logarithms, `odds` are the log odds of the intent and of all tags.
static inline double pqrnn_judge_scope(const pqrnn_package_t *package, const pqrnn_calibration_t *calibration, const float *intent, double energy,
                                       const double *odds, double tags, int32_t words) {
  double entropy = 0, total = calibration->scope_bias;
  for (int32_t i = 0; i < package->intent_count; ++i) {
    const double logarithm = (double)intent[i] - energy;
    entropy -= pqrnn_exp(logarithm) * logarithm;
    if (calibration->scope_intents) total += calibration->scope_intents[i] * (double)intent[i];
  }
  const double largest = (double)intent[pqrnn_largest(intent, package->intent_count)];
  const double summary[PQRNN_SUMMARY] = {odds[0], odds[1], energy, largest, entropy, words ? tags / words : 0, pqrnn_log(words < 19 ? words + 1 : 20)};
  for (int32_t i = 0; i < PQRNN_SUMMARY; ++i) total += calibration->scope_summary[i] * summary[i];
  return pqrnn_sigmoid(total);
}

// Returns how probable it is that a text is in scope and its parse is right, from what `pqrnn_log_tags` wrote.
static inline pqrnn_confidence_t pqrnn_judge(const pqrnn_package_t *package, const pqrnn_calibration_t *calibration, const pqrnn_outputs_t *outputs,
                                             int32_t best, const double *logarithms, int32_t words) {
  double tags = 0;
  for (int32_t word = 0; word < words; ++word) tags += logarithms[word];
  const double energy = pqrnn_log_sum(outputs->intent, package->intent_count);
  const double odds[2] = {pqrnn_log_odds((double)outputs->intent[best] - energy), pqrnn_log_odds(tags)};
  double right = pqrnn_sigmoid(calibration->right_intent * odds[0] + calibration->right_tags * odds[1] + calibration->right_bias);
  pqrnn_confidence_t confidence = {0, -1};
  if (calibration->has_scope) {
    confidence.in_scope = pqrnn_judge_scope(package, calibration, outputs->intent, energy, odds, tags, words);
    right *= confidence.in_scope;
  }
  confidence.score = pqrnn_interpolate(calibration, right);
  return confidence;
}

// Returns how probable it is that the slot of words [start, end) is right: the word behind it counts, too.
static inline double pqrnn_judge_slot(const pqrnn_calibration_t *calibration, const double *logarithms, int32_t words, int32_t start, int32_t end) {
  double total = 0;
  for (int32_t word = start; word <= end && word < words; ++word) total += logarithms[word];
  if (calibration->has_slots) return pqrnn_sigmoid(calibration->slot_tags * pqrnn_log_odds(total) + calibration->slot_bias);
  const double half = pqrnn_exp(total / 2);
  return half * half;
}

#endif  // PQRNN_CALIBRATION_H_
