/**
 * The kernel calls that Node.js has no function for, as thin as they can be.
 *
 * addon.d.ts is the contract: same names, same order, and a test holds the two together. JavaScript
 * validates and gives an errno its meaning; this file asserts the types of its arguments and hands
 * the errno back. There is no global state, so every worker thread can load the addon for itself.
 */

#define NAPI_VERSION 8
#include <node_api.h>

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "device-calls.h"
#include "move-calls.h"
#include "trim-calls.h"
#include "scan-napi.h"

namespace {

/** Mappings asked of the kernel at a time: 14 KiB of records, so a call stays short. */
constexpr uint32_t kMappingsPerCall = 256;

struct ByteRange {
  int fd;
  int64_t start_bytes;
  int64_t length_bytes;
};

/** Leaves a TypeError pending, which only a bug in src/kernel can cause. */
napi_value RejectArguments(napi_env env, const char* expected) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", expected);
  return nullptr;
}

napi_value ErrnoValue(napi_env env, int error_number) {
  napi_value value = nullptr;
  napi_create_int32(env, error_number, &value);
  return value;
}

/** Reads `(fd)`; false when it is something else. */
bool ReadFd(napi_env env, napi_callback_info info, int* fd) {
  napi_value argument;
  size_t count = 1;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok) return false;
  return count == 1 && napi_get_value_int32(env, argument, fd) == napi_ok;
}

/** Reads `(fd, startBytes, lengthBytes)`; false when they are something else or negative. */
bool ReadByteRange(napi_env env, napi_callback_info info, ByteRange* range) {
  napi_value arguments[3];
  size_t count = 3;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok) return false;
  if (count != 3 || napi_get_value_int32(env, arguments[0], &range->fd) != napi_ok) return false;

  bool start_fits = false;
  bool length_fits = false;
  const napi_status start =
      napi_get_value_bigint_int64(env, arguments[1], &range->start_bytes, &start_fits);
  const napi_status length =
      napi_get_value_bigint_int64(env, arguments[2], &range->length_bytes, &length_fits);
  if (start != napi_ok || length != napi_ok || !start_fits || !length_fits) return false;
  return range->start_bytes >= 0 && range->length_bytes >= 0 &&
         range->length_bytes <= INT64_MAX - range->start_bytes;
}

constexpr const char* kExpectsFd = "expected (fd: number)";
constexpr int64_t kReadAheadBytes = 128 * 1024;
constexpr const char* kExpectsByteRange =
    "expected (fd: number, startBytes: bigint, lengthBytes: bigint), none of them negative";

/** Source: fallocate(2). */
napi_value PunchHole(napi_env env, napi_callback_info info) {
  ByteRange range;
  if (!ReadByteRange(env, info, &range)) return RejectArguments(env, kExpectsByteRange);

  int result;
  do {
    result = fallocate(range.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range.start_bytes,
                       range.length_bytes);
  } while (result != 0 && errno == EINTR);
  return ErrnoValue(env, result == 0 ? 0 : errno);
}

struct MappingTotals {
  uint64_t mapped_bytes = 0;
  uint32_t mapping_count = 0;
};

/**
 * Walks the mappings of a range, a batch at a time, until the last one or the end of the range.
 *
 * No FIEMAP_FLAG_SYNC: what waits for its place on the disk is listed too, and holds space.
 */
int SumMappings(const ByteRange& range, MappingTotals* totals) {
  const uint64_t end = static_cast<uint64_t>(range.start_bytes + range.length_bytes);
  uint64_t next = static_cast<uint64_t>(range.start_bytes);

  std::vector<uint64_t> storage(
      (sizeof(fiemap) + kMappingsPerCall * sizeof(fiemap_extent)) / sizeof(uint64_t) + 1);
  auto* request = reinterpret_cast<fiemap*>(storage.data());

  while (next < end) {
    memset(request, 0, sizeof(fiemap));
    request->fm_start = next;
    request->fm_length = end - next;
    request->fm_extent_count = kMappingsPerCall;
    if (ioctl(range.fd, FS_IOC_FIEMAP, request) != 0) {
      if (errno == EINTR) continue;
      return errno;
    }

    const uint64_t asked_from = next;
    for (uint32_t index = 0; index < request->fm_mapped_extents; index += 1) {
      const fiemap_extent& mapping = request->fm_extents[index];
      const uint64_t mapping_start = mapping.fe_logical;
      const uint64_t mapping_end = mapping_start + mapping.fe_length;
      const uint64_t from = std::max(mapping_start, asked_from);
      const uint64_t to = std::min(mapping_end, end);
      if (from < to) {
        totals->mapped_bytes += to - from;
        totals->mapping_count += 1;
      }
      next = std::max(next, mapping_end);
      if (mapping.fe_flags & FIEMAP_EXTENT_LAST) return 0;
    }
    // Fewer than asked for means that there are no more; no progress would loop for ever.
    if (request->fm_mapped_extents < kMappingsPerCall || next == asked_from) return 0;
  }
  return 0;
}

/** Source: Documentation/filesystems/fiemap.rst. */
napi_value MappedBytes(napi_env env, napi_callback_info info) {
  ByteRange range;
  if (!ReadByteRange(env, info, &range)) return RejectArguments(env, kExpectsByteRange);

  MappingTotals totals;
  const int error_number = SumMappings(range, &totals);

  napi_value reply = nullptr;
  napi_value mapped_bytes = nullptr;
  napi_value mapping_count = nullptr;
  napi_create_object(env, &reply);
  napi_create_bigint_uint64(env, totals.mapped_bytes, &mapped_bytes);
  napi_create_uint32(env, totals.mapping_count, &mapping_count);
  napi_set_named_property(env, reply, "errno", ErrnoValue(env, error_number));
  napi_set_named_property(env, reply, "mappedBytes", mapped_bytes);
  napi_set_named_property(env, reply, "mappingCount", mapping_count);
  return reply;
}

/** Source: flock(2). */
napi_value LockFile(napi_env env, napi_callback_info info) {
  int fd;
  if (!ReadFd(env, info, &fd)) return RejectArguments(env, kExpectsFd);
  return ErrnoValue(env, flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno);
}

/** Source: flock(2). */
napi_value ShareLock(napi_env env, napi_callback_info info) {
  int fd;
  if (!ReadFd(env, info, &fd)) return RejectArguments(env, kExpectsFd);
  return ErrnoValue(env, flock(fd, LOCK_SH | LOCK_NB) == 0 ? 0 : errno);
}

/** Source: posix_fadvise(2), which returns the errno instead of setting it. */
napi_value DropPageCache(napi_env env, napi_callback_info info) {
  ByteRange range;
  if (!ReadByteRange(env, info, &range)) return RejectArguments(env, kExpectsByteRange);
  return ErrnoValue(
      env, posix_fadvise(range.fd, range.start_bytes, range.length_bytes, POSIX_FADV_DONTNEED));
}

/**
 * The kernel reads of each advice no more than it would read ahead, or than one request takes: 128 KiB
 * at least, and silently leaves out the rest.
 *
 * Source: posix_fadvise(2), which returns the errno instead of setting it; mm/readahead.c
 * (force_page_cache_ra).
 */
napi_value ReadAhead(napi_env env, napi_callback_info info) {
  ByteRange range;
  if (!ReadByteRange(env, info, &range)) return RejectArguments(env, kExpectsByteRange);
  const int64_t end = range.start_bytes + range.length_bytes;
  for (int64_t at = range.start_bytes; at < end; at += kReadAheadBytes) {
    const int64_t length = std::min(kReadAheadBytes, end - at);
    const int error = posix_fadvise(range.fd, at, length, POSIX_FADV_WILLNEED);
    if (error != 0) return ErrnoValue(env, error);
  }
  return ErrnoValue(env, 0);
}

/**
 * Source: ioprio_set(2). glibc has no wrapper; who = 0 means the calling thread. The numbers are those of
 * linux/ioprio.h, which cannot be compiled as C++ in some versions: a parameter is named `class`.
 */
napi_value SetIdlePriority(napi_env env, napi_callback_info) {
  constexpr int kWhoProcess = 1;
  constexpr int kClassIdle = 3;
  constexpr int kClassShift = 13;
  const int priority = kClassIdle << kClassShift;
  return ErrnoValue(env, syscall(SYS_ioprio_set, kWhoProcess, 0, priority) == 0 ? 0 : errno);
}

/** Source: syncfs(2). */
napi_value SyncFileSystem(napi_env env, napi_callback_info info) {
  int fd;
  if (!ReadFd(env, info, &fd)) return RejectArguments(env, kExpectsFd);
  return ErrnoValue(env, syncfs(fd) == 0 ? 0 : errno);
}

struct ExportedFunction {
  const char* name;
  napi_callback call;
};

constexpr ExportedFunction kExports[] = {
    {"allocateAligned", AllocateAligned},
    {"preferHugePages", PreferHugePages},
    {"punchHole", PunchHole},
    {"mappedBytes", MappedBytes},
    {"lockFile", LockFile},
    {"shareLock", ShareLock},
    {"dropPageCache", DropPageCache},
    {"readAhead", ReadAhead},
    {"setIdlePriority", SetIdlePriority},
    {"syncFileSystem", SyncFileSystem},
    {"beginReads", BeginReads},
    {"beginWrites", BeginWrites},
    {"waitForTransfer", WaitForTransfer},
    {"finishTransfers", FinishTransfers},
    {"openByHandles", OpenByHandles},
    {"fileHandle", FileHandle},
    {"lookAtFiles", LookAtFiles},
    {"freeBytes", FreeBytes},
    {"fileMappings", FileMappings},
    {"flushAndMapFiles", FlushAndMapFiles},
    {"allocate", Allocate},
    {"adviseRandom", AdviseRandom},
    {"writeBack", WriteBack},
    {"moveExtents", MoveExtents},
    {"xfsGeometry", XfsGeometry},
    {"copyProject", CopyProject},
    {"swapExtents", SwapExtents},
    {"startCommit", StartCommit},
    {"commitRange", CommitRange},
    {"defragmentRange", DefragmentRange},
    {"takeTurn", TakeTurn},
    {"leaveTurn", LeaveTurn},
    {"trimFileSystem", TrimFileSystem},
    {"finishFrees", FinishFrees},
    {"freeSpaceRuns", FreeSpaceRuns},
    {"btrfsTreeItems", BtrfsTreeItems},
    {"scanFileSystem", ScanFileSystem},
    {"nameFiles", NameFiles},
    {"scanFreeSpace", ScanFreeSpace},
    {"cloneRange", CloneRange},
    {"cloneToNewFile", CloneToNewFile},
    {"removeFiles", RemoveFiles},
    {"dedupeRange", DedupeRange},
    {"leaseFile", LeaseFile},
    {"setModifiedTime", SetModifiedTime},
    {"btrfsDevices", BtrfsDevices},
    {"deviceGeometry", DeviceGeometry},
    {"discardRange", DiscardRange},
    {"secureDiscardRange", SecureDiscardRange},
    {"zeroRange", ZeroRange},
    {"duplicateDescriptor", DuplicateDescriptor},
    {"probeDisk", ProbeDisk},
    {"newFileCaller", NewFileCaller},
    {"beginFileCall", BeginFileCall},
    {"waitForFileCall", WaitForFileCall},
    {"takeFileCall", TakeFileCall},
    {"endFileCalls", EndFileCalls},
    {"flushFile", FlushFile},
    {"endProcess", EndProcess},
};

}  // namespace

NAPI_MODULE_INIT() {
  for (const ExportedFunction& exported : kExports) {
    napi_value function = nullptr;
    if (napi_create_function(env, exported.name, NAPI_AUTO_LENGTH, exported.call, nullptr,
                             &function) != napi_ok ||
        napi_set_named_property(env, exports, exported.name, function) != napi_ok) {
      return nullptr;
    }
  }
  return exports;
}
