/**
 * The moves of XFS. Its header is not part of the kernel's installed ones, so the structures are
 * declared here. Source: linux/fs/xfs/libxfs/xfs_fs.h, ioctl_xfs_commit_range(2), xfs_fsr(8).
 */

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "move-calls.h"

using addon::Arguments;
using addon::CountValue;
using addon::IntValue;
using addon::RejectCall;
using addon::Reply;

namespace {

struct XfsGeometryV1 {
  uint32_t block_bytes;
  uint32_t realtime_extent_bytes;
  uint32_t group_blocks;
  uint32_t group_count;
  uint32_t log_blocks;
  uint32_t sector_bytes;
  uint32_t inode_bytes;
  uint32_t inode_percent_max;
  uint64_t data_blocks;
  uint64_t realtime_blocks;
  uint64_t realtime_extents;
  uint64_t log_start;
  uint8_t uuid[16];
  uint32_t stripe_unit;
  uint32_t stripe_width;
  int32_t version;
  uint32_t flags;
  uint32_t log_sector_bytes;
  uint32_t realtime_sector_bytes;
  uint32_t directory_block_bytes;
};
static_assert(sizeof(XfsGeometryV1) == 112, "layout of struct xfs_fsop_geom_v1");

struct XfsTime {
  int64_t seconds;
  int32_t nanoseconds;
};

struct XfsStatus {
  uint64_t inode;
  uint16_t mode;
  uint16_t link_count;
  uint32_t user;
  uint32_t group;
  uint32_t device;
  int32_t block_bytes;
  int64_t size_bytes;
  XfsTime accessed;
  XfsTime modified;
  XfsTime changed;
  uint8_t rest[48];
};
static_assert(sizeof(XfsStatus) == 136, "layout of struct xfs_bstat");

struct XfsSwapExtents {
  int64_t version;
  int64_t target_fd;
  int64_t donor_fd;
  int64_t offset_bytes;
  int64_t length_bytes;
  char padding[16];
  XfsStatus status;
};
static_assert(sizeof(XfsSwapExtents) == 192, "layout of struct xfs_swapext");

/** `freshness` is the kernel's own and means nothing to us. */
struct XfsCommitRange {
  int32_t donor_fd;
  uint32_t padding;
  uint64_t donor_offset_bytes;
  uint64_t offset_bytes;
  uint64_t length_bytes;
  uint64_t flags;
  uint64_t freshness[6];
};
static_assert(sizeof(XfsCommitRange) == 88, "layout of struct xfs_commit_range");

constexpr unsigned long kGeometry = _IOR('X', 100, XfsGeometryV1);
constexpr unsigned long kSwapExtents = _IOWR('X', 109, XfsSwapExtents);
constexpr unsigned long kStartCommit = _IOR('X', 130, XfsCommitRange);
constexpr unsigned long kCommitRange = _IOW('X', 131, XfsCommitRange);
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

XfsTime TimeOf(int64_t nanoseconds) {
  int64_t seconds = nanoseconds / kNanosecondsPerSecond;
  int64_t rest = nanoseconds % kNanosecondsPerSecond;
  if (rest < 0) {
    seconds -= 1;
    rest += kNanosecondsPerSecond;
  }
  return {seconds, static_cast<int32_t>(rest)};
}

}  // namespace

napi_value XfsGeometry(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  XfsGeometryV1 geometry = {};
  const int result = ioctl(fd, kGeometry, &geometry);
  napi_value reply = Reply(env, result == 0 ? 0 : errno);
  const struct {
    const char* name;
    uint32_t value;
  } fields[] = {{"blockBytes", geometry.block_bytes}, {"inodeBytes", geometry.inode_bytes},
                {"groupBlocks", geometry.group_blocks}, {"groupCount", geometry.group_count},
                {"flags", geometry.flags}};
  for (const auto& field : fields) {
    napi_value value = nullptr;
    napi_create_uint32(env, field.value, &value);
    napi_set_named_property(env, reply, field.name, value);
  }
  return reply;
}

napi_value CopyProject(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int fd;
  int donor_fd;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadInt(1, &donor_fd)) {
    return RejectCall(env, "expected (fd: number, donorFd: number)");
  }
  fsxattr from;
  fsxattr to;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &from) != 0 || ioctl(donor_fd, FS_IOC_FSGETXATTR, &to) != 0) {
    return IntValue(env, errno);
  }
  if (to.fsx_projid == from.fsx_projid) return IntValue(env, 0);
  to.fsx_projid = from.fsx_projid;
  return IntValue(env, ioctl(donor_fd, FS_IOC_FSSETXATTR, &to) == 0 ? 0 : errno);
}

napi_value SwapExtents(napi_env env, napi_callback_info info) {
  const Arguments<6> arguments(env, info);
  int fd;
  int donor_fd;
  int64_t inode;
  int64_t size;
  int64_t modified;
  int64_t changed;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadInt(1, &donor_fd) ||
      !arguments.ReadCount(2, &inode) || !arguments.ReadCount(3, &size) ||
      !arguments.ReadSigned(4, &modified) || !arguments.ReadSigned(5, &changed)) {
    return RejectCall(env, "expected (fd, donorFd, inode, sizeBytes, mtimeNs, ctimeNs)");
  }
  XfsSwapExtents request = {};
  request.target_fd = fd;
  request.donor_fd = donor_fd;
  request.length_bytes = size;
  request.status.inode = static_cast<uint64_t>(inode);
  request.status.size_bytes = size;
  request.status.modified = TimeOf(modified);
  request.status.changed = TimeOf(changed);
  return IntValue(env, ioctl(fd, kSwapExtents, &request) == 0 ? 0 : errno);
}

napi_value StartCommit(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  XfsCommitRange request = {};
  const int result = ioctl(fd, kStartCommit, &request);
  napi_value reply = Reply(env, result == 0 ? 0 : errno);
  void* memory = nullptr;
  napi_value buffer = nullptr;
  napi_value freshness = nullptr;
  napi_create_arraybuffer(env, sizeof(request.freshness), &memory, &buffer);
  memcpy(memory, request.freshness, sizeof(request.freshness));
  napi_create_typedarray(env, napi_uint8_array, sizeof(request.freshness), buffer, 0, &freshness);
  napi_set_named_property(env, reply, "freshness", freshness);
  return reply;
}

napi_value CommitRange(napi_env env, napi_callback_info info) {
  const Arguments<6> arguments(env, info);
  int fd;
  int donor_fd;
  int64_t start;
  int64_t donor_start;
  int64_t length;
  const uint8_t* freshness;
  size_t freshness_bytes;
  XfsCommitRange request = {};
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadInt(1, &donor_fd) ||
      !arguments.ReadCount(2, &start) || !arguments.ReadCount(3, &donor_start) ||
      !arguments.ReadCount(4, &length) ||
      !arguments.ReadBytes(5, &freshness, &freshness_bytes) ||
      freshness_bytes != sizeof(request.freshness)) {
    return RejectCall(env, "expected (fd, donorFd, startBytes, donorStartBytes, lengthBytes, "
                           "freshness: Uint8Array)");
  }
  request.donor_fd = donor_fd;
  request.offset_bytes = static_cast<uint64_t>(start);
  request.donor_offset_bytes = static_cast<uint64_t>(donor_start);
  request.length_bytes = static_cast<uint64_t>(length);
  memcpy(request.freshness, freshness, freshness_bytes);
  return IntValue(env, ioctl(fd, kCommitRange, &request) == 0 ? 0 : errno);
}
