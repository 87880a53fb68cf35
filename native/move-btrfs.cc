/** The move of Btrfs, and its way back. */

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "move-calls.h"

using addon::Arguments;
using addon::CountValue;
using addon::IntValue;
using addon::NumbersValue;
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

/** @returns an errno. */
int Clone(int fd, int source_fd, int64_t source_start, int64_t length, int64_t start) {
  file_clone_range request = {};
  request.src_fd = source_fd;
  request.src_offset = static_cast<uint64_t>(source_start);
  request.src_length = static_cast<uint64_t>(length);
  request.dest_offset = static_cast<uint64_t>(start);
  return ioctl(fd, FICLONERANGE, &request) == 0 ? 0 : errno;
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
  return IntValue(env, Clone(fd, source_fd, source_start, length, start));
}

/** Source: open(2), ioctl_ficlonerange(2). */
napi_value CloneToNewFile(napi_env env, napi_callback_info info) {
  const Arguments<5> arguments(env, info);
  int directory_fd;
  char name[PATH_MAX];
  int source_fd;
  int64_t start;
  int64_t length;
  if (!arguments.ReadInt(0, &directory_fd) || !arguments.ReadText(1, name, sizeof(name)) ||
      !arguments.ReadInt(2, &source_fd) || !arguments.ReadCount(3, &start) ||
      !arguments.ReadCount(4, &length)) {
    return RejectCall(env, "expected (directoryFd, name, sourceFd, startBytes, lengthBytes)");
  }
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const int fd = openat(directory_fd, name, kFlags, S_IRUSR | S_IWUSR);
  if (fd < 0) return IntValue(env, errno);
  const int error = Clone(fd, source_fd, start, length, 0);
  close(fd);
  if (error != 0) unlinkat(directory_fd, name, 0);
  return IntValue(env, -error);
}

/** Source: unlink(2). */
napi_value RemoveFiles(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int directory_fd;
  napi_value names;
  uint32_t count;
  if (!arguments.ReadInt(0, &directory_fd) || !arguments.ReadArray(1, &names, &count)) {
    return RejectCall(env, "expected (directoryFd: number, names: string[])");
  }
  std::vector<int32_t> errnos(count);
  char name[PATH_MAX];
  for (uint32_t index = 0; index < count; index += 1) {
    napi_value element = nullptr;
    size_t length = 0;
    const bool is_text =
        napi_get_element(env, names, index, &element) == napi_ok &&
        napi_get_value_string_utf8(env, element, name, sizeof(name), &length) == napi_ok &&
        length + 1 < sizeof(name);
    if (!is_text) return RejectCall(env, "expected names below a directory");
    errnos[index] = unlinkat(directory_fd, name, 0) == 0 ? 0 : errno;
  }
  return NumbersValue(env, napi_int32_array, errnos);
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
