/** Looking at files and preparing donors: calls that all file systems have. */

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "move-calls.h"

using addon::Arguments;
using addon::CountValue;
using addon::IntValue;
using addon::RejectCall;
using addon::Reply;

namespace {

/** Mappings asked of the kernel at a time: 28 KiB of records. */
constexpr uint32_t kMappingsPerCall = 512;
/** Numbers per mapping in the reply. */
constexpr size_t kMappingFields = 4;

int AppendMappings(int fd, uint64_t start, uint64_t end, std::vector<uint64_t>* out) {
  std::vector<uint64_t> storage(
      (sizeof(fiemap) + kMappingsPerCall * sizeof(fiemap_extent)) / sizeof(uint64_t) + 1);
  auto* request = reinterpret_cast<fiemap*>(storage.data());
  uint64_t next = start;
  while (next < end) {
    memset(request, 0, sizeof(fiemap));
    request->fm_start = next;
    request->fm_length = end - next;
    request->fm_extent_count = kMappingsPerCall;
    if (ioctl(fd, FS_IOC_FIEMAP, request) != 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    const uint64_t asked_from = next;
    for (uint32_t index = 0; index < request->fm_mapped_extents; index += 1) {
      const fiemap_extent& mapping = request->fm_extents[index];
      out->insert(out->end(), {mapping.fe_logical, mapping.fe_physical, mapping.fe_length,
                               static_cast<uint64_t>(mapping.fe_flags)});
      next = mapping.fe_logical + mapping.fe_length;
      if (mapping.fe_flags & FIEMAP_EXTENT_LAST) return 0;
    }
    // Fewer than asked for means that there are no more; no progress would loop for ever.
    if (request->fm_mapped_extents < kMappingsPerCall || next <= asked_from) return 0;
  }
  return 0;
}

/**
 * Btrfs has written a page before the file refers to its new place, which a worker of the kernel
 * does a moment later: until then FIEMAP tells the old one. FIEMAP_FLAG_SYNC waits for that, too.
 *
 * Source: fs/btrfs/fiemap.c (btrfs_fiemap); Documentation/filesystems/fiemap.rst.
 */
int FinishOrderedExtents(int fd) {
  struct statfs file_system;
  if (fstatfs(fd, &file_system) != 0) return errno;
  if (file_system.f_type != BTRFS_SUPER_MAGIC) return 0;
  fiemap request = {};
  request.fm_length = 1;
  request.fm_flags = FIEMAP_FLAG_SYNC;
  int result;
  do {
    result = ioctl(fd, FS_IOC_FIEMAP, &request);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

}  // namespace

/** Source: open_by_handle_at(2). */
napi_value OpenByHandle(napi_env env, napi_callback_info info) {
  const Arguments<4> arguments(env, info);
  int mount_fd;
  int type;
  int flags;
  const uint8_t* bytes;
  size_t size_bytes;
  if (!arguments.ReadInt(0, &mount_fd) || !arguments.ReadInt(1, &type) ||
      !arguments.ReadBytes(2, &bytes, &size_bytes) || !arguments.ReadInt(3, &flags) ||
      size_bytes > MAX_HANDLE_SZ) {
    return RejectCall(env, "expected (mountFd, type: number, handle: Uint8Array, flags: number)");
  }
  alignas(file_handle) char storage[sizeof(file_handle) + MAX_HANDLE_SZ];
  auto* handle = reinterpret_cast<file_handle*>(storage);
  handle->handle_bytes = static_cast<unsigned>(size_bytes);
  handle->handle_type = type;
  memcpy(handle->f_handle, bytes, size_bytes);

  const int fd = open_by_handle_at(mount_fd, handle, flags | O_CLOEXEC);
  napi_value reply = Reply(env, fd < 0 ? errno : 0);
  napi_set_named_property(env, reply, "fd", IntValue(env, fd));
  return reply;
}

/** Source: name_to_handle_at(2), AT_EMPTY_PATH. */
napi_value FileHandle(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  alignas(file_handle) char storage[sizeof(file_handle) + MAX_HANDLE_SZ];
  auto* handle = reinterpret_cast<file_handle*>(storage);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id;
  const int result = name_to_handle_at(fd, "", handle, &mount_id, AT_EMPTY_PATH);
  const size_t size_bytes = result == 0 ? handle->handle_bytes : 0;
  napi_value reply = Reply(env, result == 0 ? 0 : errno);
  void* memory = nullptr;
  napi_value buffer = nullptr;
  napi_value bytes = nullptr;
  napi_create_arraybuffer(env, size_bytes, &memory, &buffer);
  if (size_bytes > 0) memcpy(memory, handle->f_handle, size_bytes);
  napi_create_typedarray(env, napi_uint8_array, size_bytes, buffer, 0, &bytes);
  napi_set_named_property(env, reply, "type", IntValue(env, result == 0 ? handle->handle_type : 0));
  napi_set_named_property(env, reply, "handle", bytes);
  return reply;
}

/** Source: statx(2), stx_attributes. */
napi_value FileAttributes(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  struct statx status;
  const int result = statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &status);
  napi_value reply = Reply(env, result == 0 ? 0 : errno);
  const uint64_t attributes = result == 0 ? status.stx_attributes : 0;
  napi_set_named_property(env, reply, "attributes", CountValue(env, attributes));
  return reply;
}

/** Source: fgetxattr(2). */
napi_value HasExtendedAttribute(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  int fd;
  char name[XATTR_NAME_MAX + 2];
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadText(1, name, sizeof(name))) {
    return RejectCall(env, "expected (fd: number, name: string)");
  }
  return IntValue(env, fgetxattr(fd, name, nullptr, 0) >= 0 ? 0 : errno);
}

/** Source: Documentation/filesystems/fiemap.rst. */
napi_value FileMappings(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  int fd;
  int64_t start;
  int64_t length;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &start) ||
      !arguments.ReadCount(2, &length) || length > INT64_MAX - start) {
    return RejectCall(env, "expected (fd: number, startBytes: bigint, lengthBytes: bigint)");
  }
  std::vector<uint64_t> records;
  const int error_number = AppendMappings(fd, static_cast<uint64_t>(start),
                                          static_cast<uint64_t>(start + length), &records);

  napi_value reply = Reply(env, error_number);
  napi_value buffer = nullptr;
  napi_value mappings = nullptr;
  void* memory = nullptr;
  const size_t size_bytes = records.size() * sizeof(double);
  napi_create_arraybuffer(env, size_bytes, &memory, &buffer);
  // Doubles hold every byte count below 8 PiB and cost JavaScript nothing; a bigint each would.
  for (size_t index = 0; index < records.size(); index += 1) {
    static_cast<double*>(memory)[index] = static_cast<double>(records[index]);
  }
  napi_create_typedarray(env, napi_float64_array, records.size(), buffer, 0, &mappings);
  napi_set_named_property(env, reply, "records", mappings);
  static_assert(kMappingFields == 4, "addon.d.ts lists the fields");
  return reply;
}

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

/** Source: sync_file_range(2). */
napi_value WriteBack(napi_env env, napi_callback_info info) {
  const Arguments<4> arguments(env, info);
  int fd;
  int64_t start;
  int64_t length;
  int wait;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &start) ||
      !arguments.ReadCount(2, &length) || !arguments.ReadInt(3, &wait)) {
    return RejectCall(env, "expected (fd, startBytes: bigint, lengthBytes: bigint, wait: 0 | 1)");
  }
  const unsigned flags = wait == 0 ? SYNC_FILE_RANGE_WRITE
                                   : SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                         SYNC_FILE_RANGE_WAIT_AFTER;
  if (sync_file_range(fd, start, length, flags) != 0) return IntValue(env, errno);
  return IntValue(env, wait == 0 ? 0 : FinishOrderedExtents(fd));
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
