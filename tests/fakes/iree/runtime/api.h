// The part of IREE's C interface that runtime_py/c/parse.c calls, declared as release 3.13 declares it (compared by reading, call by call), so that the
// example is compiled and run where there is no build of IREE's C runtime. fake.c behind it answers from a table of recorded runs of the real one.

#ifndef FAKE_IREE_RUNTIME_API_H_
#define FAKE_IREE_RUNTIME_API_H_

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef size_t iree_host_size_t;
typedef uint64_t iree_device_size_t;
typedef iree_device_size_t iree_hal_dim_t;
typedef uint32_t iree_hal_element_type_t, iree_hal_encoding_type_t, iree_hal_buffer_usage_t, iree_hal_memory_type_t;
typedef uint16_t iree_hal_memory_access_t;
typedef uint64_t iree_hal_queue_affinity_t;
typedef uint32_t iree_hal_transfer_buffer_flags_t, iree_runtime_call_flags_t;

// A status is a pointer in the real interface, too, so that an integer is not taken for one.
typedef struct iree_status_handle_t *iree_status_t;
typedef enum { IREE_STATUS_OK = 0, IREE_STATUS_INVALID_ARGUMENT = 3, IREE_STATUS_NOT_FOUND = 5, IREE_STATUS_RESOURCE_EXHAUSTED = 8 } iree_status_code_t;
#define iree_ok_status() ((iree_status_t)0)
#define iree_status_is_ok(status) ((status) == 0)
#define iree_status_from_code(code) ((iree_status_t)(uintptr_t)(code))
#define IREE_RETURN_IF_ERROR(...)             \
  do {                                        \
    iree_status_t status_ = (__VA_ARGS__);    \
    if (!iree_status_is_ok(status_)) return status_; \
  } while (0)
void iree_status_fprint(FILE *file, iree_status_t status);
void iree_status_free(iree_status_t status);

typedef struct { const char *data; iree_host_size_t size; } iree_string_view_t;
typedef struct { const uint8_t *data; iree_host_size_t data_length; } iree_const_byte_span_t;
typedef struct { void *self; void *ctl; } iree_allocator_t;
typedef struct { int type; int64_t nanos; } iree_timeout_t;
iree_string_view_t iree_make_cstring_view(const char *text);
iree_const_byte_span_t iree_make_const_byte_span(const void *data, iree_host_size_t size);
iree_allocator_t iree_allocator_system(void);
iree_timeout_t iree_infinite_timeout(void);

typedef struct iree_hal_device_t iree_hal_device_t;
typedef struct iree_hal_allocator_t iree_hal_allocator_t;
typedef struct iree_hal_buffer_t iree_hal_buffer_t;
typedef struct iree_hal_buffer_view_t iree_hal_buffer_view_t;
typedef struct {
  iree_hal_buffer_usage_t usage;
  iree_hal_memory_access_t access;
  iree_hal_memory_type_t type;
  iree_hal_queue_affinity_t queue_affinity;
  iree_device_size_t min_alignment;
} iree_hal_buffer_params_t;
enum { IREE_HAL_ELEMENT_TYPE_INT_32 = 0x10000020, IREE_HAL_ENCODING_TYPE_DENSE_ROW_MAJOR = 1 };
enum { IREE_HAL_MEMORY_TYPE_DEVICE_LOCAL = 0x30, IREE_HAL_BUFFER_USAGE_DEFAULT = 0x3003, IREE_HAL_TRANSFER_BUFFER_FLAG_DEFAULT = 0 };
void iree_hal_device_release(iree_hal_device_t *device);
iree_status_t iree_hal_device_transfer_d2h(iree_hal_device_t *device, iree_hal_buffer_t *source, iree_device_size_t source_offset, void *target,
                                           iree_device_size_t data_length, iree_hal_transfer_buffer_flags_t flags, iree_timeout_t timeout);
iree_status_t iree_hal_buffer_view_allocate_buffer_copy(iree_hal_device_t *device, iree_hal_allocator_t *allocator, iree_host_size_t shape_rank,
                                                        const iree_hal_dim_t *shape, iree_hal_element_type_t element_type,
                                                        iree_hal_encoding_type_t encoding_type, iree_hal_buffer_params_t buffer_params,
                                                        iree_const_byte_span_t initial_data, iree_hal_buffer_view_t **out_buffer_view);
iree_hal_buffer_t *iree_hal_buffer_view_buffer(const iree_hal_buffer_view_t *view);
void iree_hal_buffer_view_release(iree_hal_buffer_view_t *view);

typedef struct iree_runtime_instance_t iree_runtime_instance_t;
typedef struct iree_runtime_session_t iree_runtime_session_t;
typedef struct { void *driver_registry; } iree_runtime_instance_options_t;
typedef struct { uint32_t context_flags; uint64_t builtin_modules; } iree_runtime_session_options_t;
typedef struct { void *module; uint64_t ordinal; } iree_vm_function_t;
typedef struct iree_vm_list_t iree_vm_list_t;
typedef struct {
  iree_runtime_session_t *session;
  iree_vm_function_t function;
  iree_vm_list_t *inputs;
  iree_vm_list_t *outputs;
} iree_runtime_call_t;
void iree_runtime_instance_options_initialize(iree_runtime_instance_options_t *out_options);
void iree_runtime_instance_options_use_all_available_drivers(iree_runtime_instance_options_t *options);
iree_status_t iree_runtime_instance_create(const iree_runtime_instance_options_t *options, iree_allocator_t host_allocator,
                                           iree_runtime_instance_t **out_instance);
void iree_runtime_instance_release(iree_runtime_instance_t *instance);
iree_status_t iree_runtime_instance_try_create_default_device(iree_runtime_instance_t *instance, iree_string_view_t driver_name,
                                                              iree_hal_device_t **out_device);
void iree_runtime_session_options_initialize(iree_runtime_session_options_t *out_options);
iree_status_t iree_runtime_session_create_with_device(iree_runtime_instance_t *instance, const iree_runtime_session_options_t *options,
                                                      iree_hal_device_t *device, iree_allocator_t host_allocator,
                                                      iree_runtime_session_t **out_session);
void iree_runtime_session_release(iree_runtime_session_t *session);
iree_hal_allocator_t *iree_runtime_session_device_allocator(const iree_runtime_session_t *session);
iree_status_t iree_runtime_session_append_bytecode_module_from_file(iree_runtime_session_t *session, const char *file_path);
iree_status_t iree_runtime_call_initialize_by_name(iree_runtime_session_t *session, iree_string_view_t full_name, iree_runtime_call_t *out_call);
void iree_runtime_call_deinitialize(iree_runtime_call_t *call);
iree_status_t iree_runtime_call_inputs_push_back_buffer_view(iree_runtime_call_t *call, iree_hal_buffer_view_t *buffer_view);
iree_status_t iree_runtime_call_invoke(iree_runtime_call_t *call, iree_runtime_call_flags_t flags);
iree_status_t iree_runtime_call_outputs_pop_front_buffer_view(iree_runtime_call_t *call, iree_hal_buffer_view_t **out_buffer_view);

#endif  // FAKE_IREE_RUNTIME_API_H_
