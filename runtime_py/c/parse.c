// A whole host in C: loads a compiled parser with IREE's C runtime (release 3.13), runs texts through it, prints intent and slots as JSON lines.
//
//   pqrnn conformance home.pqrnn --header package.h --out home.json
//   cc -std=c11 -I. -I$IREE/runtime/src parse.c <IREE's runtime library> -lm -o parse
//   ./parse home.pqrnn/variants/TARGET/module.vmfb "turn off the kitchen lights"
//   jq -r '(.cases + .long_cases)[].text' home.json | ./parse MODULE --base64 > answers.jsonl
//   pqrnn conformance home.pqrnn --answers answers.jsonl
//
// Before a program loads a module it compares the manifest with the machine, as ../ABI.md says (SHA-256 of the module, CPU features, version of the
// runtime): IREE itself checks the architecture only, and an instruction that the CPU lacks kills the process. This example leaves that to its caller.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "decode.h"
#include "iree/runtime/api.h"
#include "package.h"

typedef struct {
  iree_runtime_instance_t *instance;
  iree_hal_device_t *device;
  iree_runtime_session_t *session;
  float *intent, *tags;  // of the largest bucket
  int32_t *spans, *chosen;
  pqrnn_end_t *ends;
} host_t;

static iree_status_t host_open(host_t *host, const char *module) {
  const pqrnn_bucket_t *largest = &pqrnn_package.buckets[pqrnn_package.bucket_count - 1];
  host->intent = malloc((size_t)pqrnn_package.intent_count * sizeof(float));
  host->tags = malloc((size_t)largest->words * (size_t)pqrnn_package.tag_count * sizeof(float));
  host->spans = malloc((size_t)largest->words * 2 * sizeof(int32_t));
  host->ends = malloc(pqrnn_ends(&pqrnn_package, largest->words) * sizeof(pqrnn_end_t));
  host->chosen = malloc((size_t)largest->words * sizeof(int32_t));
  if (!host->intent || !host->tags || !host->spans || !host->ends || !host->chosen) return iree_status_from_code(IREE_STATUS_RESOURCE_EXHAUSTED);
  iree_runtime_instance_options_t instance_options;
  iree_runtime_instance_options_initialize(&instance_options);
  iree_runtime_instance_options_use_all_available_drivers(&instance_options);
  IREE_RETURN_IF_ERROR(iree_runtime_instance_create(&instance_options, iree_allocator_system(), &host->instance));
  // local-sync runs on the calling thread: the fastest for one text, and the same bits every time.
  IREE_RETURN_IF_ERROR(iree_runtime_instance_try_create_default_device(host->instance, iree_make_cstring_view("local-sync"), &host->device));
  iree_runtime_session_options_t session_options;
  iree_runtime_session_options_initialize(&session_options);
  IREE_RETURN_IF_ERROR(iree_runtime_session_create_with_device(host->instance, &session_options, host->device, iree_allocator_system(), &host->session));
  return iree_runtime_session_append_bytecode_module_from_file(host->session, module);
}

static void host_close(host_t *host) {
  if (host->session) iree_runtime_session_release(host->session);
  if (host->device) iree_hal_device_release(host->device);
  if (host->instance) iree_runtime_instance_release(host->instance);
  free(host->intent);
  free(host->tags);
  free(host->ends);
  free(host->chosen);
  free(host->spans);
}

// Copies the next output of a call to the host's memory.
static iree_status_t take_output(host_t *host, iree_runtime_call_t *call, void *target, size_t size) {
  iree_hal_buffer_view_t *view = NULL;
  IREE_RETURN_IF_ERROR(iree_runtime_call_outputs_pop_front_buffer_view(call, &view));
  iree_status_t status = iree_hal_device_transfer_d2h(host->device, iree_hal_buffer_view_buffer(view), 0, target, size,
                                                      IREE_HAL_TRANSFER_BUFFER_FLAG_DEFAULT, iree_infinite_timeout());
  iree_hal_buffer_view_release(view);
  return status;
}

// Runs one bucket's entry on a text of at most its bytes.
static iree_status_t host_run(host_t *host, const pqrnn_bucket_t *bucket, const uint8_t *text, size_t size, pqrnn_outputs_t *outputs) {
  char name[256];
  snprintf(name, sizeof name, "module.%s", bucket->entry);
  uint8_t *padded = calloc(1, (size_t)bucket->bytes);  // zeros behind the text: they separate words and are none
  if (!padded) return iree_status_from_code(IREE_STATUS_RESOURCE_EXHAUSTED);
  if (size) memcpy(padded, text, size);
  iree_runtime_call_t call;
  iree_status_t status = iree_runtime_call_initialize_by_name(host->session, iree_make_cstring_view(name), &call);
  if (!iree_status_is_ok(status)) {
    free(padded);
    return status;
  }
  iree_hal_buffer_view_t *input = NULL;
  const iree_hal_dim_t shape[2] = {1, (iree_hal_dim_t)bucket->bytes / 4};
  iree_hal_buffer_params_t params;
  memset(&params, 0, sizeof params);
  params.type = IREE_HAL_MEMORY_TYPE_DEVICE_LOCAL;
  params.usage = IREE_HAL_BUFFER_USAGE_DEFAULT;
  status = iree_hal_buffer_view_allocate_buffer_copy(host->device, iree_runtime_session_device_allocator(host->session), 2, shape,
                                                     IREE_HAL_ELEMENT_TYPE_INT_32, IREE_HAL_ENCODING_TYPE_DENSE_ROW_MAJOR, params,
                                                     iree_make_const_byte_span(padded, (size_t)bucket->bytes), &input);
  if (iree_status_is_ok(status)) status = iree_runtime_call_inputs_push_back_buffer_view(&call, input);
  if (input) iree_hal_buffer_view_release(input);
  if (iree_status_is_ok(status)) status = iree_runtime_call_invoke(&call, 0);
  const size_t words = (size_t)bucket->words;
  if (iree_status_is_ok(status)) status = take_output(host, &call, host->intent, (size_t)pqrnn_package.intent_count * sizeof(float));
  if (iree_status_is_ok(status)) status = take_output(host, &call, host->tags, words * (size_t)pqrnn_package.tag_count * sizeof(float));
  if (iree_status_is_ok(status)) status = take_output(host, &call, host->spans, words * 2 * sizeof(int32_t));
  if (iree_status_is_ok(status)) status = take_output(host, &call, &outputs->count, sizeof outputs->count);
  outputs->intent = host->intent, outputs->tags = host->tags, outputs->spans = host->spans;
  iree_runtime_call_deinitialize(&call);
  free(padded);
  return status;
}

// Answers one text. The first bucket is the smallest for its bytes; the program counts the words, and says when it needs a larger one.
static iree_status_t answer(host_t *host, const uint8_t *text, size_t size, long id, int truncate) {
  const pqrnn_package_t *package = &pqrnn_package;
  const int32_t last = package->bucket_count - 1;
  const size_t limit = (size_t)package->buckets[last].bytes;
  size_t cut = 0;
  int32_t chosen = pqrnn_choose(package, size, 0);
  if (size > limit) {
    if (!truncate) {
      printf("{\"id\":%ld,\"refused\":true}\n", id);
      return iree_ok_status();
    }
    size = cut = pqrnn_cut(text, size, limit);
    chosen = last;
  }
  pqrnn_outputs_t outputs;
  memset(&outputs, 0, sizeof outputs);
  IREE_RETURN_IF_ERROR(host_run(host, &package->buckets[chosen], text, size, &outputs));
  const int32_t larger = pqrnn_choose(package, size, outputs.count);
  if (larger > chosen) {
    chosen = larger;
    IREE_RETURN_IF_ERROR(host_run(host, &package->buckets[chosen], text, size, &outputs));
  }
  if (outputs.count > package->buckets[chosen].words) {
    if (!truncate) {
      printf("{\"id\":%ld,\"refused\":true}\n", id);
      return iree_ok_status();
    }
    if (!cut) cut = size;
  }
  pqrnn_print_answer(stdout, package, PQRNN_CALIBRATION, &outputs, text, chosen, id, cut, host->ends, host->chosen);
  return iree_ok_status();
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s MODULE.vmfb TEXT ...\n       %s MODULE.vmfb --base64 [--truncate] < LINES\n", argv[0], argv[0]);
    return 2;
  }
  host_t host;
  memset(&host, 0, sizeof host);
  iree_status_t status = host_open(&host, argv[1]);
  int first = 2, base64 = 0, truncate = 0;
  for (; first < argc && strncmp(argv[first], "--", 2) == 0; ++first) {
    base64 |= strcmp(argv[first], "--base64") == 0;
    truncate |= strcmp(argv[first], "--truncate") == 0;
  }
  for (int i = first; iree_status_is_ok(status) && i < argc; ++i) {
    status = answer(&host, (const uint8_t *)argv[i], strlen(argv[i]), i - first, truncate);
  }
  static char line[1 << 20];
  for (long id = 0; iree_status_is_ok(status) && base64 && fgets(line, sizeof line, stdin); ++id) {
    const long size = pqrnn_from_base64(line);
    status = size < 0 ? iree_status_from_code(IREE_STATUS_INVALID_ARGUMENT) : answer(&host, (const uint8_t *)line, (size_t)size, id, truncate);
  }
  const int failed = !iree_status_is_ok(status);
  if (failed) {
    iree_status_fprint(stderr, status);
    iree_status_free(status);
  }
  host_close(&host);
  return failed ? 2 : 0;
}
