/** What a move asks of a file beside its data: space for a donor, advice, a lease. */

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "move-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::RejectCall;

/** Source: fallocate(2). */
napi_value Allocate(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  int fd;
  int64_t start;
  int64_t length;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &start) ||
      !arguments.ReadCount(2, &length)) {
    return RejectCall(env, "expected (fd: number, startBytes: bigint, lengthBytes: bigint)");
  }
  int result;
  do {
    result = fallocate(fd, FALLOC_FL_KEEP_SIZE, start, length);
  } while (result != 0 && errno == EINTR);
  return IntValue(env, result == 0 ? 0 : errno);
}

/** Source: posix_fadvise(2), which returns the errno instead of setting it. */
napi_value AdviseRandom(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  return IntValue(env, posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
}

/** Source: fcntl(2), F_SETLEASE. */
napi_value LeaseFile(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int fd;
  int take;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadInt(1, &take)) {
    return RejectCall(env, "expected (fd: number, take: 0 | 1)");
  }
  if (take == 0) return IntValue(env, fcntl(fd, F_SETLEASE, F_UNLCK) == 0 ? 0 : errno);
  // Whoever opens the file meanwhile makes the kernel send a signal; the usual one ends a process.
  if (fcntl(fd, F_SETSIG, SIGURG) != 0) return IntValue(env, errno);
  return IntValue(env, fcntl(fd, F_SETLEASE, F_WRLCK) == 0 ? 0 : errno);
}
