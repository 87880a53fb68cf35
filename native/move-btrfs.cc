/** The move of Btrfs. Source: linux/btrfs.h, btrfs_ioctl_defrag_range_args. */

#include <linux/btrfs.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "move-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::RejectCall;

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
