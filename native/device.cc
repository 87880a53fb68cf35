/** Raw block devices: what they are like, giving ranges of them back, and passing a claim on. */

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "device-calls.h"

namespace {

constexpr const char* kExpectsRange =
    "expected (fd: number, startBytes: bigint, lengthBytes: bigint), none of them negative";

/** One of the ioctls that take where a range begins and how long it is, both in bytes. */
napi_value RangeCall(napi_env env, napi_callback_info info, unsigned long request) {
  const addon::Arguments<3> arguments(env, info);
  int fd;
  int64_t start_bytes;
  int64_t length_bytes;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &start_bytes) ||
      !arguments.ReadCount(2, &length_bytes)) {
    return addon::RejectCall(env, kExpectsRange);
  }
  uint64_t range[2] = {static_cast<uint64_t>(start_bytes), static_cast<uint64_t>(length_bytes)};
  int result;
  do {
    result = ioctl(fd, request, &range);
  } while (result != 0 && errno == EINTR);
  return addon::IntValue(env, result == 0 ? 0 : errno);
}

}  // namespace

/** Source: linux/fs.h (BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKROGET). */
napi_value DeviceGeometry(napi_env env, napi_callback_info info) {
  const addon::Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return addon::RejectCall(env, "expected (fd: number)");
  uint64_t size_bytes = 0;
  int logical_bytes = 0;
  unsigned int physical_bytes = 0;
  int is_read_only = 0;
  const bool is_known =
      ioctl(fd, BLKGETSIZE64, &size_bytes) == 0 && ioctl(fd, BLKSSZGET, &logical_bytes) == 0 &&
      ioctl(fd, BLKPBSZGET, &physical_bytes) == 0 && ioctl(fd, BLKROGET, &is_read_only) == 0;
  const napi_value reply = addon::Reply(env, is_known ? 0 : errno);
  napi_set_named_property(env, reply, "sizeBytes", addon::CountValue(env, size_bytes));
  napi_set_named_property(env, reply, "logicalBlockBytes", addon::IntValue(env, logical_bytes));
  napi_set_named_property(env, reply, "physicalBlockBytes",
                          addon::IntValue(env, static_cast<int>(physical_bytes)));
  napi_set_named_property(env, reply, "isReadOnly", addon::IntValue(env, is_read_only));
  return reply;
}

napi_value DiscardRange(napi_env env, napi_callback_info info) {
  return RangeCall(env, info, BLKDISCARD);
}

napi_value SecureDiscardRange(napi_env env, napi_callback_info info) {
  return RangeCall(env, info, BLKSECDISCARD);
}

napi_value ZeroRange(napi_env env, napi_callback_info info) {
  return RangeCall(env, info, BLKZEROOUT);
}

/** Source: pidfd_open(2), pidfd_getfd(2). glibc 2.36 is the first with wrappers. */
napi_value DuplicateDescriptor(napi_env env, napi_callback_info info) {
  const addon::Arguments<2> arguments(env, info);
  int pid;
  int fd;
  if (!arguments.ReadInt(0, &pid) || !arguments.ReadInt(1, &fd)) {
    return addon::RejectCall(env, "expected (pid: number, fd: number)");
  }
  int error_number = 0;
  int own_fd = -1;
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) {
    error_number = errno;
  } else {
    own_fd = static_cast<int>(syscall(SYS_pidfd_getfd, process, fd, 0));
    if (own_fd < 0) error_number = errno;
    close(process);
  }
  const napi_value reply = addon::Reply(env, error_number);
  napi_set_named_property(env, reply, "fd", addon::IntValue(env, own_fd));
  return reply;
}
