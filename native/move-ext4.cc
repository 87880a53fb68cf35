/** The move of ext4. Source: struct move_extent in linux/fs/ext4/ext4.h; e4defrag(8). */

#include <sys/ioctl.h>

#include <cerrno>

#include "move-calls.h"

using addon::Arguments;
using addon::CountValue;
using addon::RejectCall;
using addon::Reply;

namespace {

struct MoveExtent {
  uint32_t reserved;
  uint32_t donor_fd;
  uint64_t orig_start;
  uint64_t donor_start;
  uint64_t len;
  uint64_t moved_len;
};
static_assert(sizeof(MoveExtent) == 40, "layout of struct move_extent");
constexpr unsigned long kMoveExt = _IOWR('f', 15, MoveExtent);

}  // namespace

napi_value MoveExtents(napi_env env, napi_callback_info info) {
  const Arguments<5> arguments(env, info);
  int fd;
  int donor_fd;
  int64_t start;
  int64_t donor_start;
  int64_t length;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadInt(1, &donor_fd) ||
      !arguments.ReadCount(2, &start) || !arguments.ReadCount(3, &donor_start) ||
      !arguments.ReadCount(4, &length)) {
    return RejectCall(env, "expected (fd, donorFd, startBlock, donorStartBlock, lengthBlocks)");
  }
  MoveExtent request = {};
  request.donor_fd = static_cast<uint32_t>(donor_fd);
  request.orig_start = static_cast<uint64_t>(start);
  request.donor_start = static_cast<uint64_t>(donor_start);
  request.len = static_cast<uint64_t>(length);
  const int result = ioctl(fd, kMoveExt, &request);
  napi_value reply = Reply(env, result == 0 ? 0 : errno);
  // Set on failure too: part of the blocks may have moved.
  napi_set_named_property(env, reply, "movedBlocks", CountValue(env, request.moved_len));
  return reply;
}
