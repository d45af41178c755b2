"""The header of a native parser."""

from __future__ import annotations

from runtime_py.package_format.manifest import Bucket

# Types and codes are the same in the headers of all parsers, so that several can be included in one file.
_COMMON = """\
#ifndef PQRNN_NATIVE_ABI
/* Version 1.1. What is added later grows the answer at its end, and the lower half here. */
#define PQRNN_NATIVE_ABI 0x10001u

enum {
  PQRNN_NATIVE_OK = 0,
  PQRNN_NATIVE_TOO_LONG = 1,
  PQRNN_NATIVE_BAD_ARGUMENT = 2,
  PQRNN_NATIVE_NO_MEMORY = 3,
  PQRNN_NATIVE_WRONG_PROCESSOR = 4,
  PQRNN_NATIVE_WRONG_KERNELS = 5,
  PQRNN_NATIVE_KERNEL_FAILED = 6,
  PQRNN_NATIVE_NO_CALIBRATION = 7
};

/* Flag: of a text that is too long read what fits, instead of refusing it. */
#define PQRNN_NATIVE_TRUNCATE 1u

/* Least score: the threshold that the parser's calibration recommends. */
#define PQRNN_NATIVE_RECOMMENDED (-1.0)

/* A slot: its label, where it lies in bytes, and in code points (each maximal part of invalid UTF-8 is one, U+FFFD). */
typedef struct {
  const char *label;
  int32_t start, end;   /* first byte, byte after the last */
  int32_t first, last;  /* first code point, code point after the last */
} pqrnn_answer_slot_t;

/* The answer to a text. What it points to belongs to the parser, and stays until its next text. */
typedef struct {
  uint32_t size;        /* set it before the call: sizeof(pqrnn_answer_t) */
  int32_t intent;       /* index of the intent */
  int32_t words;        /* words that were read */
  int32_t truncated;    /* 1 where the end of the text was left out */
  int32_t slot_count;
  int32_t read;         /* bytes that were read: fewer than there are where the text has too many */
  double score;         /* probability that the parse is right, where calibrated; else the softmax of the intent */
  const char *intent_name;
  const pqrnn_answer_slot_t *slots;
  const float *intent_logits;  /* [intents] */
  const float *tag_logits;     /* [words][tags] */
  const int32_t *spans;        /* [words][2]: first byte of a word, byte after its last */
  /* Since version 1.1: */
  double in_scope;             /* probability that the text is of the parser's kind; -1 where that is not known */
  int32_t calibrated;          /* 1 where the parser has a calibration, so that scores are probabilities */
  int32_t rejected;            /* 1 where the least score is not reached: intent and slots are a guess */
  const double *slot_scores;   /* [slot_count]: probability that the slot is right; NULL where not calibrated */
} pqrnn_answer_t;

/* An intent and its probability, whatever its slots; those of all intents together are 1. */
typedef struct {
  const char *name;
  double score;
  int32_t intent;
  int32_t reserved;
} pqrnn_ranked_t;

#if defined(_WIN32)
#define PQRNN_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define PQRNN_EXPORT __attribute__((visibility("default")))
#else
#define PQRNN_EXPORT
#endif
#endif /* PQRNN_NATIVE_ABI */
"""


def write_header(prefix: str, name: str, longest: Bucket) -> str:
    """Return the header.

    Args:
        prefix: Prefix of the functions.
        name: Name of the parser, for people.
        longest: The largest length bucket.
    """
    guard = f"PQRNN_NATIVE_{prefix.upper()}_H"
    told = name.replace("*/", "* /").replace("\n", " ")
    return f"""\
/* The parser "{told}": UTF-8 in, intent and slots out. Reads up to {longest.words} words in {longest.bytes} bytes.

     {prefix}_parser *parser;
     pqrnn_answer_t answer = {{.size = sizeof answer}};
     if ({prefix}_open(&parser)) return 1;
     if ({prefix}_parse(parser, text, length, 0, &answer) == PQRNN_NATIVE_OK) puts(answer.intent_name);
     {prefix}_close(parser);

   A parser serves one call at a time; several may be open, each in a thread of its own. Nothing is allocated after
   {prefix}_open, and the system is not called. Stack: up to 128 KiB. */
#ifndef {guard}
#define {guard}

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{_COMMON}
typedef struct {prefix}_parser {prefix}_parser;

/* Version of this interface as the library was built: the upper half has to be that of PQRNN_NATIVE_ABI. */
PQRNN_EXPORT uint32_t {prefix}_abi(void);

/* Open a parser. Returns PQRNN_NATIVE_OK or another of the codes above; *opened is NULL then. */
PQRNN_EXPORT int {prefix}_open(struct {prefix}_parser **opened);
PQRNN_EXPORT void {prefix}_close(struct {prefix}_parser *parser);

/* The same in memory of the caller, at least {prefix}_memory() bytes, which has to stay until the last call; it needs
   no closing. */
PQRNN_EXPORT size_t {prefix}_memory(void);
PQRNN_EXPORT int {prefix}_open_in(void *memory, size_t size, struct {prefix}_parser **opened);

/* Parse a text of so many bytes; it need not end with a zero, nor be valid UTF-8. */
PQRNN_EXPORT int {prefix}_parse(struct {prefix}_parser *parser, const char *text, size_t size, uint32_t flags,
                                pqrnn_answer_t *answer);

/* From the next text on, answer what is less probable with `rejected`: a score from 0 (nothing) to 1, or
   PQRNN_NATIVE_RECOMMENDED, which only a parser with a calibration has. Since version 1.1. */
PQRNN_EXPORT int {prefix}_set_min_score(struct {prefix}_parser *parser, double min_score);

/* Write the most probable intents of the last text, the first first; returns how many. The intent of an answer fits its
   slots, and is not always the first here: it is among the alternatives, behind which come the others (since 1.1). */
PQRNN_EXPORT int32_t {prefix}_rank(const struct {prefix}_parser *parser, pqrnn_ranked_t *ranked, int32_t most);
PQRNN_EXPORT int32_t {prefix}_alternatives(const struct {prefix}_parser *parser, pqrnn_ranked_t *ranked, int32_t most);

/* What a code means. */
PQRNN_EXPORT const char *{prefix}_message(int status);

/* Names: of the parser, of its intents and of its tags, in the order of their logits; NULL where there is none. */
PQRNN_EXPORT const char *{prefix}_name(void);
PQRNN_EXPORT int32_t {prefix}_intents(void);
PQRNN_EXPORT int32_t {prefix}_tags(void);
PQRNN_EXPORT const char *{prefix}_intent_name(int32_t intent);
PQRNN_EXPORT const char *{prefix}_tag_name(int32_t tag);
PQRNN_EXPORT int32_t {prefix}_most_bytes(void);

#ifdef __cplusplus
}}
#endif

#endif /* {guard} */
"""
