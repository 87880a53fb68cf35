/** The move of Btrfs, and its way back. */

#include <linux/btrfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <utility>

#include "move-calls.h"

using addon::Arguments;
using addon::CountValue;
using addon::IntValue;
using addon::RejectCall;
using addon::Reply;

namespace {

/** For each mount, by its device number, and kind of work; there are few, and they stay. */
std::mutex& TurnOf(dev_t device, int kind) {
  static std::mutex guard;
  static std::map<std::pair<dev_t, int>, std::mutex> turns;
  const std::lock_guard<std::mutex> lock(guard);
  return turns[{device, kind}];
}

napi_value WithTurn(napi_env env, napi_callback_info info, void (*use)(std::mutex&)) {
  const Arguments<2> arguments(env, info);
  int mount_fd;
  int kind;
  if (!arguments.ReadInt(0, &mount_fd) || !arguments.ReadInt(1, &kind)) {
    return RejectCall(env, "expected (mountFd: number, kind: number)");
  }
  struct stat mount;
  if (fstat(mount_fd, &mount) != 0) return IntValue(env, errno);
  use(TurnOf(mount.st_dev, kind));
  return IntValue(env, 0);
}

}  // namespace

/** Source: linux/btrfs.h, btrfs_ioctl_defrag_range_args. */
napi_value DefragmentRange(napi_env env, napi_callback_info info) {
  const Arguments<4> arguments(env, info);
  int fd;
  int64_t start;
  int64_t length;
  int64_t threshold;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &start) ||
      !arguments.ReadCount(2, &length) || !arguments.ReadCount(3, &threshold) ||
      threshold > UINT32_MAX) {
    return RejectCall(env, "expected (fd: number, startBytes, lengthBytes, thresholdBytes)");
  }
  btrfs_ioctl_defrag_range_args request = {};
  request.start = static_cast<uint64_t>(start);
  request.len = static_cast<uint64_t>(length);
  request.extent_thresh = static_cast<uint32_t>(threshold);
  return IntValue(env, ioctl(fd, BTRFS_IOC_DEFRAG_RANGE, &request) >= 0 ? 0 : errno);
}

napi_value TakeTurn(napi_env env, napi_callback_info info) {
  return WithTurn(env, info, [](std::mutex& turn) { turn.lock(); });
}

napi_value LeaveTurn(napi_env env, napi_callback_info info) {
  return WithTurn(env, info, [](std::mutex& turn) { turn.unlock(); });
}

/** Source: ioctl_ficlonerange(2). */
napi_value CloneRange(napi_env env, napi_callback_info info) {
  const Arguments<5> arguments(env, info);
  int fd;
  int source_fd;
  int64_t source_start;
  int64_t length;
  int64_t start;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadInt(1, &source_fd) ||
      !arguments.ReadCount(2, &source_start) || !arguments.ReadCount(3, &length) ||
      !arguments.ReadCount(4, &start)) {
    return RejectCall(env, "expected (fd, sourceFd, sourceStartBytes, lengthBytes, startBytes)");
  }
  file_clone_range request = {};
  request.src_fd = source_fd;
  request.src_offset = static_cast<uint64_t>(source_start);
  request.src_length = static_cast<uint64_t>(length);
  request.dest_offset = static_cast<uint64_t>(start);
  return IntValue(env, ioctl(fd, FICLONERANGE, &request) == 0 ? 0 : errno);
}

/** Source: ioctl_fideduperange(2). */
napi_value DedupeRange(napi_env env, napi_callback_info info) {
  const Arguments<5> arguments(env, info);
  int fd;
  int source_fd;
  int64_t source_start;
  int64_t length;
  int64_t start;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadInt(1, &source_fd) ||
      !arguments.ReadCount(2, &source_start) || !arguments.ReadCount(3, &length) ||
      !arguments.ReadCount(4, &start)) {
    return RejectCall(env, "expected (fd, sourceFd, sourceStartBytes, lengthBytes, startBytes)");
  }
  alignas(file_dedupe_range) char memory[sizeof(file_dedupe_range) +
                                         sizeof(file_dedupe_range_info)] = {};
  auto* request = reinterpret_cast<file_dedupe_range*>(memory);
  request->src_offset = static_cast<uint64_t>(source_start);
  request->src_length = static_cast<uint64_t>(length);
  request->dest_count = 1;
  file_dedupe_range_info& target = request->info[0];
  target.dest_fd = fd;
  target.dest_offset = static_cast<uint64_t>(start);
  int error = ioctl(source_fd, FIDEDUPERANGE, request) == 0 ? 0 : errno;
  if (error == 0 && target.status < 0) error = -target.status;
  napi_value reply = Reply(env, error);
  const bool differs = error == 0 && target.status == FILE_DEDUPE_RANGE_DIFFERS;
  napi_set_named_property(env, reply, "differs", IntValue(env, differs ? 1 : 0));
  napi_set_named_property(env, reply, "sharedBytes", CountValue(env, target.bytes_deduped));
  return reply;
}

/** Source: futimens(3). */
napi_value SetModifiedTime(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int fd;
  int64_t nanoseconds;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadSigned(1, &nanoseconds)) {
    return RejectCall(env, "expected (fd: number, mtimeNs: bigint)");
  }
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  int64_t seconds = nanoseconds / kNanosecondsPerSecond;
  int64_t rest = nanoseconds % kNanosecondsPerSecond;
  if (rest < 0) {
    seconds -= 1;
    rest += kNanosecondsPerSecond;
  }
  const timespec times[2] = {{0, UTIME_OMIT}, {seconds, rest}};
  return IntValue(env, futimens(fd, times) == 0 ? 0 : errno);
}
