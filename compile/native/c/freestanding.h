// What the parser asks of a C library, for machines without one: WebAssembly, microcontrollers. The latter bring memcpy
// and memset, which every compiler for them calls by itself.

#ifndef PQRNN_FREESTANDING_H_
#define PQRNN_FREESTANDING_H_

#include <stddef.h>
#include <stdint.h>

#define INFINITY __builtin_inf()
#define isinf(value) __builtin_isinf(value)

#ifdef __wasm__
void *memcpy(void *restrict target, const void *restrict source, size_t size) {
  uint8_t *to = target;
  for (const uint8_t *from = source; size; --size) *to++ = *from++;
  return target;
}

void *memset(void *target, int value, size_t size) {
  for (uint8_t *to = target; size; --size) *to++ = (uint8_t)value;
  return target;
}

#else
void *memcpy(void *restrict target, const void *restrict source, size_t size);
void *memset(void *target, int value, size_t size);
#endif

static inline int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) ++a, ++b;
  return (unsigned char)*a - (unsigned char)*b;
}

static inline char *strchr(const char *text, int wanted) {
  while (*text && *text != (char)wanted) ++text;
  return *text || !wanted ? (char *)(uintptr_t)text : NULL;
}

static inline int atoi(const char *text) {
  int number = 0;
  for (; *text >= '0' && *text <= '9'; ++text) number = 10 * number + (*text - '0');
  return number;
}

#endif  // PQRNN_FREESTANDING_H_
