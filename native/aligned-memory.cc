/** Memory for O_DIRECT. */

#include <cstdlib>
#include <cstring>

#include "device-calls.h"

namespace {

/** Logical block size of every disk that O_DIRECT meets; a multiple of the 512 bytes of others. */
constexpr size_t kAlignmentBytes = 4096;

/** The size is passed as the hint, since V8 forgets it by the time the memory is freed. */
void FreeAligned(napi_env env, void* memory, void* size_hint) {
  int64_t external_bytes = 0;
  napi_adjust_external_memory(env, -reinterpret_cast<intptr_t>(size_hint), &external_bytes);
  free(memory);
}

}  // namespace

/** Source: posix_memalign(3). */
napi_value AllocateAligned(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  int64_t size_bytes = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count != 1 ||
      napi_get_value_int64(env, argument, &size_bytes) != napi_ok || size_bytes <= 0) {
    return addon::RejectCall(env, "expected (sizeBytes: number), greater than 0");
  }

  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignmentBytes, static_cast<size_t>(size_bytes)) != 0) {
    napi_throw_range_error(env, "ERR_MEMORY_ALLOCATION_FAILED", "no memory for an aligned buffer");
    return nullptr;
  }
  // What an earlier owner of the memory left in it must not reach a disk.
  memset(memory, 0, static_cast<size_t>(size_bytes));

  napi_value buffer = nullptr;
  void* size_hint = reinterpret_cast<void*>(static_cast<intptr_t>(size_bytes));
  if (napi_create_external_arraybuffer(env, memory, static_cast<size_t>(size_bytes), FreeAligned,
                                       size_hint, &buffer) != napi_ok) {
    free(memory);
    napi_throw_error(env, nullptr, "this Node.js does not allow external array buffers");
    return nullptr;
  }
  // Without this the collector sees a few bytes per buffer and is in no hurry to free them.
  int64_t external_bytes = 0;
  napi_adjust_external_memory(env, size_bytes, &external_bytes);
  return buffer;
}
