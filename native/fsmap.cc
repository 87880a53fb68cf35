/** The free runs of a range of a file system. Source: linux/fsmap.h, ioctl_getfsmap(2). */

#include <linux/fsmap.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "trim-calls.h"

using addon::Arguments;
using addon::CountValue;
using addon::RejectCall;
using addon::Reply;

namespace {

/** 128 KiB of records. */
constexpr uint32_t kRecordsPerCall = 2048;

/**
 * Appends the start and length of each free run inside [start, end), joined where they touch.
 *
 * `known_end` becomes the end of the last record: the file system may be smaller than its device.
 */
int ReadFreeRuns(int fd, uint64_t start, uint64_t end, std::vector<double>* runs,
                 uint64_t* known_end) {
  struct stat status;
  if (fstat(fd, &status) != 0) return errno;
  std::vector<uint64_t> storage(fsmap_sizeof(kRecordsPerCall) / sizeof(uint64_t) + 1);
  auto* head = reinterpret_cast<fsmap_head*>(storage.data());
  head->fmh_count = kRecordsPerCall;
  // The data device alone: a log or realtime device has addresses of its own.
  head->fmh_keys[0].fmr_device = static_cast<uint32_t>(status.st_dev);
  head->fmh_keys[0].fmr_physical = start;
  head->fmh_keys[1].fmr_device = static_cast<uint32_t>(status.st_dev);
  head->fmh_keys[1].fmr_physical = end - 1;
  head->fmh_keys[1].fmr_owner = UINT64_MAX;
  head->fmh_keys[1].fmr_offset = UINT64_MAX;
  head->fmh_keys[1].fmr_flags = UINT32_MAX;

  for (;;) {
    if (ioctl(fd, FS_IOC_GETFSMAP, head) != 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (head->fmh_entries == 0) return 0;
    for (uint32_t index = 0; index < head->fmh_entries; index += 1) {
      const fsmap& record = head->fmh_recs[index];
      const uint64_t record_end = record.fmr_physical + record.fmr_length;
      const uint64_t to = record_end < end ? record_end : end;
      if (to > *known_end) *known_end = to;
      const bool is_free = (record.fmr_flags & FMR_OF_SPECIAL_OWNER) != 0 &&
                           record.fmr_owner == FMR_OWN_FREE;
      if (!is_free) continue;
      const uint64_t from = record.fmr_physical > start ? record.fmr_physical : start;
      if (from >= to) continue;
      const size_t count = runs->size();
      if (count > 0 && (*runs)[count - 2] + (*runs)[count - 1] == static_cast<double>(from)) {
        (*runs)[count - 1] += static_cast<double>(to - from);
      } else {
        runs->push_back(static_cast<double>(from));
        runs->push_back(static_cast<double>(to - from));
      }
    }
    if (head->fmh_recs[head->fmh_entries - 1].fmr_flags & FMR_OF_LAST) return 0;
    fsmap_advance(head);
  }
}

}  // namespace

napi_value FreeSpaceRuns(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  int fd;
  int64_t start;
  int64_t length;
  if (!arguments.ReadInt(0, &fd) || !arguments.ReadCount(1, &start) ||
      !arguments.ReadCount(2, &length) || length == 0 || length > INT64_MAX - start) {
    return RejectCall(env, "expected (fd: number, startBytes, lengthBytes), lengthBytes above 0");
  }
  // Byte addresses are exact in a double up to 2^53, 8 PiB.
  std::vector<double> runs;
  uint64_t known_end = static_cast<uint64_t>(start);
  const int error_number =
      ReadFreeRuns(fd, static_cast<uint64_t>(start), static_cast<uint64_t>(start + length), &runs,
                   &known_end);

  napi_value reply = Reply(env, error_number);
  void* data = nullptr;
  napi_value memory = nullptr;
  napi_value array = nullptr;
  napi_create_arraybuffer(env, runs.size() * sizeof(double), &data, &memory);
  if (!runs.empty()) memcpy(data, runs.data(), runs.size() * sizeof(double));
  napi_create_typedarray(env, napi_float64_array, runs.size(), memory, 0, &array);
  napi_set_named_property(env, reply, "runs", array);
  napi_set_named_property(env, reply, "endBytes", CountValue(env, known_end));
  return reply;
}
