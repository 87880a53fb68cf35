/** Memory for O_DIRECT. */

#include <sys/mman.h>

#include <cerrno>

#include "device-calls.h"

namespace {

/**
 * Of this size on, pages of this size are asked for: with a fault for each 4 KiB, 8 MiB took 40 to
 * 140 ms in a virtual machine, four threads at it.
 */
constexpr size_t kHugePageBytes = 2 * 1024 * 1024;

/** The size is passed as the hint, since V8 forgets it by the time the memory is freed. */
void FreeAligned(napi_env env, void* memory, void* size_hint) {
  int64_t external_bytes = 0;
  napi_adjust_external_memory(env, -reinterpret_cast<intptr_t>(size_hint), &external_bytes);
  munmap(memory, reinterpret_cast<size_t>(size_hint));
}

}  // namespace

/**
 * Whole pages of their own, which suit every disk that O_DIRECT meets. They are zeros: what an
 * earlier owner of the memory left in it must not reach a disk.
 *
 * Source: mmap(2) (MAP_ANONYMOUS), madvise(2) (MADV_HUGEPAGE).
 */
napi_value AllocateAligned(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  int64_t size_bytes = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count != 1 ||
      napi_get_value_int64(env, argument, &size_bytes) != napi_ok || size_bytes <= 0) {
    return addon::RejectCall(env, "expected (sizeBytes: number), greater than 0");
  }

  const auto size = static_cast<size_t>(size_bytes);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    napi_throw_range_error(env, "ERR_MEMORY_ALLOCATION_FAILED", "no memory for an aligned buffer");
    return nullptr;
  }
  // A wish: where there are none the memory is as good.
  if (size >= kHugePageBytes) madvise(memory, size, MADV_HUGEPAGE);

  napi_value buffer = nullptr;
  void* size_hint = reinterpret_cast<void*>(static_cast<intptr_t>(size_bytes));
  if (napi_create_external_arraybuffer(env, memory, size, FreeAligned, size_hint, &buffer) !=
      napi_ok) {
    munmap(memory, size);
    napi_throw_error(env, nullptr, "this Node.js does not allow external array buffers");
    return nullptr;
  }
  // Without this the collector sees a few bytes per buffer and is in no hurry to free them.
  int64_t external_bytes = 0;
  napi_adjust_external_memory(env, size_bytes, &external_bytes);
  return buffer;
}

/** Source: madvise(2) (MADV_HUGEPAGE). */
napi_value PreferHugePages(napi_env env, napi_callback_info info) {
  const addon::Arguments<1> arguments(env, info);
  uint8_t* memory;
  size_t size_bytes;
  if (!arguments.ReadWritable(0, &memory, &size_bytes)) {
    return addon::RejectCall(env, "expected (memory: Uint8Array)");
  }
  return addon::IntValue(env, madvise(memory, size_bytes, MADV_HUGEPAGE) == 0 ? 0 : errno);
}
