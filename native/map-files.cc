/** Where files lie, of one and of many at once, and the write-back that must come before. */

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "move-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::NumbersValue;
using addon::RejectCall;
using addon::Reply;

namespace {

/** Mappings asked of the kernel at a time: 28 KiB of records. */
constexpr uint32_t kMappingsPerCall = 512;
/** Numbers per mapping in a reply; addon.d.ts lists them. */
constexpr size_t kMappingFields = 4;
constexpr unsigned kWriteAndWait =
    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

/** Asks for the mappings of files, one after the other, and collects them. */
class Mapper {
 public:
  Mapper()
      : memory_((sizeof(fiemap) + kMappingsPerCall * sizeof(fiemap_extent)) / sizeof(uint64_t) + 1) {}

  /** @returns an errno. */
  int Append(int fd, uint64_t start, uint64_t end, uint32_t flags) {
    auto* request = reinterpret_cast<fiemap*>(memory_.data());
    uint64_t next = start;
    while (next < end) {
      memset(request, 0, sizeof(fiemap));
      request->fm_start = next;
      request->fm_length = end - next;
      request->fm_flags = flags;
      request->fm_extent_count = kMappingsPerCall;
      if (ioctl(fd, FS_IOC_FIEMAP, request) != 0) {
        if (errno == EINTR) continue;
        return errno;
      }
      const uint64_t asked_from = next;
      for (uint32_t index = 0; index < request->fm_mapped_extents; index += 1) {
        const fiemap_extent& mapping = request->fm_extents[index];
        // Doubles hold every byte count below 8 PiB and cost JavaScript nothing; a bigint each would.
        records_.insert(records_.end(), {static_cast<double>(mapping.fe_logical),
                                         static_cast<double>(mapping.fe_physical),
                                         static_cast<double>(mapping.fe_length),
                                         static_cast<double>(mapping.fe_flags)});
        next = mapping.fe_logical + mapping.fe_length;
        if (mapping.fe_flags & FIEMAP_EXTENT_LAST) return 0;
      }
      // Fewer than asked for means that there are no more; no progress would loop for ever.
      if (request->fm_mapped_extents < kMappingsPerCall || next <= asked_from) return 0;
    }
    return 0;
  }

  size_t count() const { return records_.size() / kMappingFields; }
  const std::vector<double>& records() const { return records_; }

 private:
  /** Eight bytes each, as the records are aligned. */
  std::vector<uint64_t> memory_;
  std::vector<double> records_;
};

/** @returns an errno. */
int IsBtrfs(int fd, bool* is_btrfs) {
  struct statfs file_system;
  if (fstatfs(fd, &file_system) != 0) return errno;
  *is_btrfs = file_system.f_type == BTRFS_SUPER_MAGIC;
  return 0;
}

/**
 * Btrfs has written a page before the file refers to its new place, which a worker of the kernel
 * does a moment later: until then FIEMAP tells the old one. FIEMAP_FLAG_SYNC waits for that, too.
 *
 * Source: fs/btrfs/fiemap.c (btrfs_fiemap); Documentation/filesystems/fiemap.rst.
 */
int FinishOrderedExtents(int fd) {
  bool is_btrfs = false;
  const int error = IsBtrfs(fd, &is_btrfs);
  if (error != 0 || !is_btrfs) return error;
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
  Mapper mapper;
  napi_value reply = Reply(env, mapper.Append(fd, static_cast<uint64_t>(start),
                                              static_cast<uint64_t>(start + length), 0));
  napi_set_named_property(env, reply, "records",
                          NumbersValue(env, napi_float64_array, mapper.records()));
  return reply;
}

/** Source: sync_file_range(2), Documentation/filesystems/fiemap.rst. */
napi_value FlushAndMapFiles(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  const int32_t* fds;
  size_t count;
  if (!arguments.ReadInts(0, &fds, &count)) return RejectCall(env, "expected (fds: Int32Array)");
  Mapper mapper;
  std::vector<int32_t> errnos(2 * count);
  std::vector<int32_t> counts(count);
  for (size_t index = 0; index < count; index += 1) {
    const int fd = fds[index];
    const size_t count_before = mapper.count();
    bool is_btrfs = false;
    int flush_error = IsBtrfs(fd, &is_btrfs);
    if (flush_error == 0 && sync_file_range(fd, 0, 0, kWriteAndWait) != 0) flush_error = errno;
    errnos[2 * index] = flush_error;
    if (flush_error == 0) {
      // As FinishOrderedExtents does.
      const uint32_t flags = is_btrfs ? FIEMAP_FLAG_SYNC : 0;
      errnos[2 * index + 1] = mapper.Append(fd, 0, INT64_MAX, flags);
    }
    counts[index] = static_cast<int32_t>(mapper.count() - count_before);
  }
  napi_value reply = nullptr;
  napi_create_object(env, &reply);
  napi_set_named_property(env, reply, "errnos", NumbersValue(env, napi_int32_array, errnos));
  napi_set_named_property(env, reply, "counts", NumbersValue(env, napi_int32_array, counts));
  napi_set_named_property(env, reply, "records",
                          NumbersValue(env, napi_float64_array, mapper.records()));
  return reply;
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
  const unsigned flags = wait == 0 ? SYNC_FILE_RANGE_WRITE : kWriteAndWait;
  if (sync_file_range(fd, start, length, flags) != 0) return IntValue(env, errno);
  return IntValue(env, wait == 0 ? 0 : FinishOrderedExtents(fd));
}
