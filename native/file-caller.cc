/**
 * Calls of files that are waited for only so long.
 *
 * A device that hangs answers no call, and no signal ends one. So a thread of its own makes them, one
 * after the other; it can be left behind, with the memory that it reads into and writes from.
 */

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "device-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::RejectCall;

namespace {

constexpr size_t kBlockBytes = 4096;
constexpr size_t kBytesMax = 1 << 20;

/** As src/kernel/bounded-io.ts knows them. A probe is of a descriptor with O_DIRECT. */
enum Call { kRead = 1, kWrite = 2, kFlush = 3, kProbe = 4 };

struct Request {
  int call;
  int fd;
  off_t at_bytes;
  size_t length_bytes;
};

class FileCaller {
 public:
  /** @returns EBUSY while a call is under way. */
  int Begin(const std::shared_ptr<FileCaller>& self, const Request& request, const uint8_t* bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_busy_) return EBUSY;
    if (!has_thread_) {
      // Nobody has touched its pages before they are used.
      buffer_.reset(static_cast<uint8_t*>(std::aligned_alloc(kBlockBytes, kBytesMax)));
      if (!buffer_) return ENOMEM;
      try {
        std::thread([self] { self->Run(); }).detach();
      } catch (const std::system_error& error) {
        return error.code().value();
      }
      has_thread_ = true;
    }
    if (request.call == kWrite) std::memcpy(buffer_.get(), bytes, request.length_bytes);
    request_ = request;
    is_busy_ = true;
    is_ending_ = false;
    changed_.notify_all();
    return 0;
  }

  /** @returns whether no call is under way. */
  bool WaitFor(int timeout_ms) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                             [this] { return !is_busy_; });
  }

  /** @returns what the last call did, or a negative errno. */
  ssize_t Take(uint8_t* bytes, size_t bytes_max) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_busy_) return -EBUSY;
    if (request_.call == kRead && result_ > 0) {
      std::memcpy(bytes, buffer_.get(), std::min(static_cast<size_t>(result_), bytes_max));
    }
    return result_;
  }

  /** The thread goes when no call is under way any more. */
  void End() {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_ending_ = true;
    changed_.notify_all();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return is_busy_ || is_ending_; });
      if (!is_busy_) break;
      lock.unlock();
      const ssize_t result = Make();
      lock.lock();
      result_ = result;
      is_busy_ = false;
      changed_.notify_all();
    }
    has_thread_ = false;
  }

  ssize_t Make() {
    const auto& [call, fd, at_bytes, length_bytes] = request_;
    for (;;) {
      const ssize_t result = call == kFlush   ? fdatasync(fd)
                             : call == kWrite ? pwrite(fd, buffer_.get(), length_bytes, at_bytes)
                             : call == kProbe ? pread(fd, buffer_.get(), kBlockBytes, 0)
                                              : pread(fd, buffer_.get(), length_bytes, at_bytes);
      if (result >= 0) return result;
      if (errno != EINTR) return -errno;
    }
  }

  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<uint8_t, Free> buffer_;
  Request request_ = {};
  ssize_t result_ = 0;
  bool has_thread_ = false;
  bool is_busy_ = false;
  bool is_ending_ = false;
};

using Handle = std::shared_ptr<FileCaller>;

}  // namespace

napi_value NewFileCaller(napi_env env, napi_callback_info) {
  auto handle = std::make_unique<Handle>(std::make_shared<FileCaller>());
  const auto forget = [](napi_env, void* data, void*) {
    const std::unique_ptr<Handle> gone(static_cast<Handle*>(data));
    (*gone)->End();
  };
  napi_value value = nullptr;
  if (napi_create_external(env, handle.get(), forget, nullptr, &value) != napi_ok) return nullptr;
  handle.release();
  return value;
}

/** Source: pread(2), pwrite(2), fdatasync(2). */
napi_value BeginFileCall(napi_env env, napi_callback_info info) {
  const Arguments<5> arguments(env, info);
  void* data = nullptr;
  Request request;
  int64_t at_bytes;
  const uint8_t* bytes;
  if (!arguments.ReadExternal(0, &data) || !arguments.ReadInt(1, &request.call) ||
      !arguments.ReadInt(2, &request.fd) || !arguments.ReadCount(3, &at_bytes) ||
      !arguments.ReadBytes(4, &bytes, &request.length_bytes) || request.call < kRead ||
      request.call > kProbe || request.length_bytes > kBytesMax) {
    return RejectCall(env, "expected (caller: FileCallerHandle, call: 1 to 4, fd: number, "
                           "atBytes: bigint, bytes: Uint8Array), of a MiB at most");
  }
  request.at_bytes = at_bytes;
  const Handle& caller = *static_cast<Handle*>(data);
  return IntValue(env, caller->Begin(caller, request, bytes));
}

napi_value WaitForFileCall(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  void* data = nullptr;
  int timeout_ms;
  if (!arguments.ReadExternal(0, &data) || !arguments.ReadInt(1, &timeout_ms)) {
    return RejectCall(env, "expected (caller: FileCallerHandle, timeoutMs: number)");
  }
  const Handle& caller = *static_cast<Handle*>(data);
  return IntValue(env, caller->WaitFor(timeout_ms) ? 0 : ETIMEDOUT);
}

napi_value TakeFileCall(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  void* data = nullptr;
  uint8_t* bytes;
  size_t bytes_max;
  if (!arguments.ReadExternal(0, &data) || !arguments.ReadWritable(1, &bytes, &bytes_max)) {
    return RejectCall(env, "expected (caller: FileCallerHandle, bytes: Uint8Array)");
  }
  const Handle& caller = *static_cast<Handle*>(data);
  return IntValue(env, static_cast<int>(caller->Take(bytes, bytes_max)));
}

napi_value EndFileCalls(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  void* data = nullptr;
  if (!arguments.ReadExternal(0, &data)) {
    return RejectCall(env, "expected (caller: FileCallerHandle)");
  }
  (*static_cast<Handle*>(data))->End();
  return IntValue(env, 0);
}
