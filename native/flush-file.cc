/**
 * Flushing a file in a thread of its own: one of libuv's, which the whole process shares, would be lost
 * to everybody while a disk hangs.
 */

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <thread>

#include "device-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::RejectCall;

namespace {

struct Flush {
  int fd;
  int error = 0;
  napi_deferred deferred = nullptr;
  napi_threadsafe_function tell = nullptr;
};

/** In the thread that asked; without `env` it is about to end, and nobody waits any more. */
void Tell(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Flush> flush(static_cast<Flush*>(data));
  if (env == nullptr) return;
  napi_resolve_deferred(env, flush->deferred, IntValue(env, flush->error));
}

void Run(Flush* flush) {
  // Whoever is told deletes the rest.
  const napi_threadsafe_function tell = flush->tell;
  flush->error = fdatasync(flush->fd) == 0 ? 0 : errno;
  // Else the thread that asked has ended, and with it what would be released.
  if (napi_call_threadsafe_function(tell, flush, napi_tsfn_blocking) != napi_ok) return;
  napi_release_threadsafe_function(tell, napi_tsfn_release);
}

}  // namespace

/** Source: fdatasync(2). */
napi_value FlushFile(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  auto flush = std::make_unique<Flush>();
  if (!arguments.ReadInt(0, &flush->fd)) return RejectCall(env, "expected (fd: number)");
  napi_value promise = nullptr;
  napi_value name = nullptr;
  if (napi_create_promise(env, &flush->deferred, &promise) != napi_ok ||
      napi_create_string_utf8(env, "flushFile", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr,
                                      Tell, &flush->tell) != napi_ok) {
    return nullptr;
  }
  try {
    std::thread(Run, flush.get()).detach();
    flush.release();
  } catch (const std::system_error& error) {
    flush->error = error.code().value();
    napi_release_threadsafe_function(flush->tell, napi_tsfn_abort);
    Tell(env, nullptr, nullptr, flush.release());
  }
  return promise;
}
