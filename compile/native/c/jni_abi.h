// As much of Java's native interface as ../java needs, for compilers that come without jni.h. The table of functions is fixed by its specification ("The JNI
// Interface Function Table"), here by their numbers.

#ifndef PQRNN_JNI_ABI_H_
#define PQRNN_JNI_ABI_H_

#include <stdint.h>

enum {
  JNI_FIND_CLASS = 6,
  JNI_THROW_NEW = 14,
  JNI_GET_ARRAY_LENGTH = 171,
  JNI_NEW_OBJECT_ARRAY = 172,
  JNI_SET_OBJECT_ARRAY_ELEMENT = 174,
  JNI_NEW_BYTE_ARRAY = 176,
  JNI_NEW_INT_ARRAY = 179,
  JNI_NEW_DOUBLE_ARRAY = 182,
  JNI_GET_BYTE_ARRAY_ELEMENTS = 184,
  JNI_RELEASE_BYTE_ARRAY_ELEMENTS = 192,
  JNI_SET_BYTE_ARRAY_REGION = 208,
  JNI_SET_INT_ARRAY_REGION = 211,
  JNI_SET_DOUBLE_ARRAY_REGION = 214,
  JNI_ABORT_RELEASE = 2  // the bytes were only read
};

#if defined(_WIN32) && defined(__i386__)
#define JNI_CALL __stdcall
#else
#define JNI_CALL
#endif

typedef void *jni_object;
typedef void (*jni_function)(void);
typedef const jni_function **jni_env;

// The function with a number, with its type.
#define JNI(env, number, result, ...) ((result(JNI_CALL *)(jni_env, __VA_ARGS__))(*(env))[number])

#endif  // PQRNN_JNI_ABI_H_
