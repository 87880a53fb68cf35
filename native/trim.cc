/** FITRIM, and what has to be done before it. Source: linux/fs.h, linux/btrfs.h, xfs/xfs_fs.h. */

#include "trim-calls.h"

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <vector>

using addon::Arguments;
using addon::CountValue;
using addon::IntValue;
using addon::RejectCall;
using addon::Reply;

napi_value TrimFileSystem(napi_env env, napi_callback_info info) {
  const Arguments<4> arguments(env, info);
  int fd;
  int64_t start;
  int64_t length;
  int64_t min_length;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &start) ||
      !arguments.ReadCount(2, &length) || !arguments.ReadCount(3, &min_length)) {
    return RejectCall(env, "expected (fd: number, startBytes, lengthBytes, minLengthBytes)");
  }
  fstrim_range range = {};
  range.start = static_cast<uint64_t>(start);
  range.len = static_cast<uint64_t>(length);
  range.minlen = static_cast<uint64_t>(min_length);
  const int error_number = ioctl(fd, FITRIM, &range) == 0 ? 0 : errno;
  napi_value reply = Reply(env, error_number);
  // An error leaves the length that was asked for.
  napi_set_named_property(env, reply, "trimmedBytes",
                          CountValue(env, error_number == 0 ? range.len : 0));
  return reply;
}

namespace {

/** Not in the kernel's exported headers. Source: xfs_fs.h, struct xfs_fs_eofblocks. */
struct XfsEofBlocks {
  uint32_t version;
  uint32_t flags;
  uint32_t uid;
  uint32_t gid;
  uint32_t project_id;
  uint32_t padding;
  uint64_t min_file_size_bytes;
  uint64_t padding_end[12];
};
constexpr uint32_t kEofBlocksVersion = 1;
constexpr uint32_t kEofFlagSync = 1 << 0;
constexpr uint32_t kEofFlagMinFileSize = 1 << 4;
constexpr unsigned long kFreeEofBlocks = _IOR('X', 58, XfsEofBlocks);

}  // namespace

napi_value FinishFrees(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  XfsEofBlocks request = {};
  request.version = kEofBlocksVersion;
  request.flags = kEofFlagSync | kEofFlagMinFileSize;
  // No file is as large: none loses its preallocation, but the call waits for deleted ones.
  request.min_file_size_bytes = UINT64_MAX;
  return IntValue(env, ioctl(fd, kFreeEofBlocks, &request) == 0 ? 0 : errno);
}

namespace {

constexpr size_t kSearchBytes = 256 * 1024;

}  // namespace

napi_value BtrfsTreeItems(napi_env env, napi_callback_info info) {
  const Arguments<4> arguments(env, info);
  int fd;
  int64_t tree;
  int type;
  int64_t object_id;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &tree) ||
      !arguments.ReadInt(2, &type) || type < 0 || type > UINT8_MAX ||
      !arguments.ReadCount(3, &object_id)) {
    return RejectCall(env, "expected (fd: number, treeId, itemType: number, objectId)");
  }
  std::vector<uint64_t> storage((sizeof(btrfs_ioctl_search_args_v2) + kSearchBytes) / 8);
  auto* request = reinterpret_cast<btrfs_ioctl_search_args_v2*>(storage.data());
  btrfs_ioctl_search_key key = {};
  key.tree_id = static_cast<uint64_t>(tree);
  key.min_objectid = static_cast<uint64_t>(object_id);
  key.max_objectid = key.min_objectid;
  key.min_type = static_cast<uint32_t>(type);
  key.max_type = key.min_type;
  key.max_offset = UINT64_MAX;
  key.max_transid = UINT64_MAX;

  std::vector<uint8_t> items;
  int error_number = 0;
  for (;;) {
    key.nr_items = UINT32_MAX;
    request->key = key;
    request->buf_size = kSearchBytes;
    if (ioctl(fd, BTRFS_IOC_TREE_SEARCH_V2, request) != 0) {
      if (errno == EINTR) continue;
      error_number = errno;
      break;
    }
    if (request->key.nr_items == 0) break;
    const auto* at = reinterpret_cast<const uint8_t*>(request->buf);
    btrfs_ioctl_search_header header = {};
    for (uint32_t index = 0; index < request->key.nr_items; index += 1) {
      memcpy(&header, at, sizeof header);
      const size_t size_bytes = sizeof header + header.len;
      items.insert(items.end(), at, at + size_bytes);
      at += size_bytes;
    }
    if (header.offset == UINT64_MAX) break;
    key.min_offset = header.offset + 1;
  }

  napi_value reply = Reply(env, error_number);
  napi_value buffer = nullptr;
  napi_create_buffer_copy(env, items.size(), items.data(), nullptr, &buffer);
  napi_set_named_property(env, reply, "items", buffer);
  return reply;
}
