// What stands behind the native methods of ../java/Parser.java. Compiled with -DPARSER=<prefix> -DJAVA_CLASS=<class> '-DHEADER="<prefix>.h"'.

#include HEADER
#include "jni_abi.h"

#include <string.h>

#define JOINED(prefix, name) prefix##_##name
#define NAMED(prefix, name) JOINED(prefix, name)
#define CALL(name) NAMED(PARSER, name)
#define METHOD_OF(class, name) Java_pqrnn_##class##_##name
#define METHOD_NAMED(class, name) METHOD_OF(class, name)
#define METHOD(name) METHOD_NAMED(JAVA_CLASS, name)

enum { HEAD = 7, PER_SLOT = 4, MOST_RANKED = 64 };  // as in Parser.java

typedef struct NAMED(PARSER, parser) parser_type;

static void throw_status(jni_env env, int status) {
  const char *name = status == PQRNN_NATIVE_TOO_LONG || status == PQRNN_NATIVE_BAD_ARGUMENT ? "java/lang/IllegalArgumentException"
                                                                                           : "java/lang/IllegalStateException";
  jni_object thrown = JNI(env, JNI_FIND_CLASS, jni_object, const char *)(env, name);
  if (thrown) JNI(env, JNI_THROW_NEW, int32_t, jni_object, const char *)(env, thrown, CALL(message)(status));
}

PQRNN_EXPORT int64_t JNI_CALL METHOD(open)(jni_env env, jni_object self) {
  (void)self;
  parser_type *parser;
  const int status = CALL(open)(&parser);
  if (status) throw_status(env, status);
  return (int64_t)(intptr_t)parser;
}

PQRNN_EXPORT void JNI_CALL METHOD(close)(jni_env env, jni_object self, int64_t handle) {
  (void)env, (void)self;
  CALL(close)((parser_type *)(intptr_t)handle);
}

PQRNN_EXPORT void JNI_CALL METHOD(setLeast)(jni_env env, jni_object self, int64_t handle, double least) {
  (void)self;
  const int status = CALL(set_min_score)((parser_type *)(intptr_t)handle, least);
  if (status) throw_status(env, status);
}

// Puts bytes of a name into an array of objects. Returns 0 where there is no memory for it: then Java has its exception.
static int set_name(jni_env env, jni_object array, int32_t index, const char *name) {
  const int32_t size = (int32_t)strlen(name);
  jni_object bytes = JNI(env, JNI_NEW_BYTE_ARRAY, jni_object, int32_t)(env, size);
  if (!bytes) return 0;
  JNI(env, JNI_SET_BYTE_ARRAY_REGION, void, jni_object, int32_t, int32_t, const int8_t *)(env, bytes, 0, size, (const int8_t *)name);
  JNI(env, JNI_SET_OBJECT_ARRAY_ELEMENT, void, jni_object, int32_t, jni_object)(env, array, index, bytes);
  return 1;
}

// Returns { int[] numbers, double[] scores, byte[] names... }: the names of the intent, of the slots and of the alternatives.
static jni_object to_java(jni_env env, const pqrnn_answer_t *answer, const pqrnn_ranked_t *ranked, int32_t ranked_count) {
  const int32_t slots = answer->slot_count, numbers = HEAD + PER_SLOT * slots, scores = 2 + slots + ranked_count;
  jni_object kind = JNI(env, JNI_FIND_CLASS, jni_object, const char *)(env, "java/lang/Object");
  if (!kind) return NULL;
  jni_object array = JNI(env, JNI_NEW_OBJECT_ARRAY, jni_object, int32_t, jni_object, jni_object)(env, 3 + slots + ranked_count, kind, NULL);
  jni_object integers = array ? JNI(env, JNI_NEW_INT_ARRAY, jni_object, int32_t)(env, numbers) : NULL;
  jni_object doubles = integers ? JNI(env, JNI_NEW_DOUBLE_ARRAY, jni_object, int32_t)(env, scores) : NULL;
  if (!doubles || !set_name(env, array, 2, answer->intent_name)) return NULL;
  const int32_t head[HEAD] = {answer->intent, answer->words, answer->truncated, answer->calibrated, answer->rejected, slots, ranked_count};
  const double first[2] = {answer->score, answer->in_scope};
  JNI(env, JNI_SET_INT_ARRAY_REGION, void, jni_object, int32_t, int32_t, const int32_t *)(env, integers, 0, HEAD, head);
  JNI(env, JNI_SET_DOUBLE_ARRAY_REGION, void, jni_object, int32_t, int32_t, const double *)(env, doubles, 0, 2, first);
  for (int32_t i = 0; i < slots; ++i) {
    const pqrnn_answer_slot_t *slot = &answer->slots[i];
    const int32_t places[PER_SLOT] = {slot->start, slot->end, slot->first, slot->last};
    const double score = answer->slot_scores ? answer->slot_scores[i] : -1;
    JNI(env, JNI_SET_INT_ARRAY_REGION, void, jni_object, int32_t, int32_t, const int32_t *)(env, integers, HEAD + PER_SLOT * i, PER_SLOT, places);
    JNI(env, JNI_SET_DOUBLE_ARRAY_REGION, void, jni_object, int32_t, int32_t, const double *)(env, doubles, 2 + i, 1, &score);
    if (!set_name(env, array, 3 + i, slot->label)) return NULL;
  }
  for (int32_t i = 0; i < ranked_count; ++i) {
    JNI(env, JNI_SET_DOUBLE_ARRAY_REGION, void, jni_object, int32_t, int32_t, const double *)(env, doubles, 2 + slots + i, 1, &ranked[i].score);
    if (!set_name(env, array, 3 + slots + i, ranked[i].name)) return NULL;
  }
  JNI(env, JNI_SET_OBJECT_ARRAY_ELEMENT, void, jni_object, int32_t, jni_object)(env, array, 0, integers);
  JNI(env, JNI_SET_OBJECT_ARRAY_ELEMENT, void, jni_object, int32_t, jni_object)(env, array, 1, doubles);
  return array;
}

PQRNN_EXPORT jni_object JNI_CALL METHOD(parse)(jni_env env, jni_object self, int64_t handle, jni_object text, uint8_t truncate, int32_t alternatives) {
  (void)self;
  parser_type *parser = (parser_type *)(intptr_t)handle;
  const int32_t size = JNI(env, JNI_GET_ARRAY_LENGTH, int32_t, jni_object)(env, text);
  int8_t *bytes = JNI(env, JNI_GET_BYTE_ARRAY_ELEMENTS, int8_t *, jni_object, uint8_t *)(env, text, NULL);
  if (!bytes) return NULL;
  pqrnn_answer_t answer;
  memset(&answer, 0, sizeof answer);
  answer.size = sizeof answer;
  const int status = CALL(parse)(parser, (const char *)bytes, (size_t)size, truncate ? PQRNN_NATIVE_TRUNCATE : 0, &answer);
  JNI(env, JNI_RELEASE_BYTE_ARRAY_ELEMENTS, void, jni_object, int8_t *, int32_t)(env, text, bytes, JNI_ABORT_RELEASE);
  if (status) {
    throw_status(env, status);
    return NULL;
  }
  pqrnn_ranked_t ranked[MOST_RANKED];
  const int32_t count = CALL(alternatives)(parser, ranked, alternatives < MOST_RANKED ? alternatives : MOST_RANKED);
  return to_java(env, &answer, ranked, count);
}
