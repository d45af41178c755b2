// A guess at the number of words of a text, which chooses the length bucket: that of ../../../runtime_py/execute/word_count.py.

typedef struct {
  uint32_t first, last;
  uint8_t kind;
} guess_range;

enum { GUESS_LETTER, GUESS_ALONE, GUESS_DIGIT, GUESS_BETWEEN };

static int32_t guess_kind(uint32_t point) {
  static const guess_range rows[] = {GUESS_ROWS};
  if (point < 0x80) {
    if ((point | 32) >= 'a' && (point | 32) <= 'z') return GUESS_LETTER;
    if (point >= '0' && point <= '9') return GUESS_DIGIT;
    return point > ' ' && point < 0x7F ? GUESS_ALONE : GUESS_BETWEEN;
  }
  size_t low = 0, high = sizeof rows / sizeof *rows;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (rows[middle].last < point) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < sizeof rows / sizeof *rows && rows[low].first <= point ? rows[low].kind : GUESS_LETTER;
}

// Returns the code point of `size` bytes; U+FFFD where they are ill-formed.
static uint32_t guess_point(const uint8_t *text, size_t size) {
  if (size == 1) return text[0] < 0x80 ? text[0] : 0xFFFD;
  const size_t whole = text[0] < 0xE0 ? 2 : text[0] < 0xF0 ? 3 : 4;
  if (size < whole) return 0xFFFD;
  uint32_t point = text[0] & (0x7F >> whole);
  for (size_t i = 1; i < size; ++i) point = point << 6 | (text[i] & 0x3F);
  return point;
}

static int32_t guess_words(const uint8_t *text, size_t size) {
  int32_t words = 0, before = GUESS_BETWEEN, single = 0;
  int wide = 0;
  for (size_t at = 0, taken; at < size; at += taken) {
    taken = pqrnn_character(text + at, size - at);
    wide |= taken > 1;
    const int32_t kind = guess_kind(guess_point(text + at, taken));
    const int32_t begins = kind == GUESS_ALONE || (kind != before && kind != GUESS_BETWEEN);
    words += begins;
    single += begins && text[at] >= 0x80;
    before = kind;
  }
  return wide ? words : words - single;  // bytes that are no UTF-8, and nothing longer: taken for nothing
}
