// Whether this processor has the instructions that the kernels were compiled for: FEATURE_ROWS lists where each can be asked for.

#if defined(__x86_64__) && defined(FEATURE_ROWS)
#include <cpuid.h>

typedef struct {
  uint32_t leaf, subleaf;
  uint8_t word, bit;  // of eax, ebx, ecx, edx
} feature_row;

static int fits_processor(void) {
  static const feature_row rows[] = {FEATURE_ROWS};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    uint32_t words[4] = {0, 0, 0, 0};
    if (!__get_cpuid_count(rows[i].leaf, rows[i].subleaf, &words[0], &words[1], &words[2], &words[3])) return 0;
    if (!(words[rows[i].word] >> rows[i].bit & 1)) return 0;
  }
#if FEATURE_STATE
  // The system has to keep the wide registers, too.
  uint32_t low, high, words[4] = {0, 0, 0, 0};
  if (!__get_cpuid(1, &words[0], &words[1], &words[2], &words[3]) || !(words[2] >> 27 & 1)) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & FEATURE_STATE) != FEATURE_STATE) return 0;
#endif
  return 1;
}
#elif defined(__linux__) && defined(FEATURE_ROWS)
#include <sys/auxv.h>

typedef struct {
  uint8_t word, bit;  // of AT_HWCAP, AT_HWCAP2
} feature_row;

static int fits_processor(void) {
  static const feature_row rows[] = {FEATURE_ROWS};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    const uint64_t word = getauxval(rows[i].word ? 26 : 16);
    if (!(word >> rows[i].bit & 1)) return 0;
  }
  return 1;
}
#else
static int fits_processor(void) { return 1; }  // nothing beyond the baseline, or nobody to ask
#endif
