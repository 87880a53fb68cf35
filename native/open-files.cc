/**
 * Opening many files and looking at them: one call each, since what JavaScript does for a call costs more
 * than the kernel's part in it.
 */

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

#include "move-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::NumbersValue;
using addon::RejectCall;
using addon::Reply;

namespace {

/** Hex: one byte type, then the handle. */
constexpr size_t kHandleTextMax = 2 * (1 + MAX_HANDLE_SZ);
/** Numbers per file in the reply; addon.d.ts lists them. */
constexpr size_t kLookFields = 10;
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr int64_t kMsPerSecond = 1000;
constexpr int64_t kNanosecondsPerMs = 1'000'000;

struct alignas(file_handle) HandleMemory {
  char bytes[sizeof(file_handle) + MAX_HANDLE_SZ];
  file_handle* get() { return reinterpret_cast<file_handle*>(bytes); }
};

/** @returns false when the text is no handle. */
bool ParseHandle(const char* text, size_t length, file_handle* handle) {
  if (length < 2 || length % 2 != 0 || length > kHandleTextMax) return false;
  const auto byte_at = [text](size_t index, uint8_t* byte) {
    const char* const digits = text + 2 * index;
    return std::from_chars(digits, digits + 2, *byte, 16).ptr == digits + 2;
  };
  uint8_t type = 0;
  if (!byte_at(0, &type)) return false;
  handle->handle_type = type;
  handle->handle_bytes = static_cast<unsigned>(length / 2 - 1);
  for (size_t index = 0; index < handle->handle_bytes; index += 1) {
    if (!byte_at(index + 1, handle->f_handle + index)) return false;
  }
  return true;
}

/** Since the epoch, in nanoseconds: decimal text, since 64 bits end in the year 2262 and XFS does not. */
napi_value TimeValue(napi_env env, const statx_timestamp& time) {
  const __int128 total = static_cast<__int128>(time.tv_sec) * kNanosecondsPerSecond + time.tv_nsec;
  char text[48];
  char* const end = text + sizeof(text);
  char* begin = end;
  __int128 rest = total < 0 ? -total : total;
  do {
    begin -= 1;
    *begin = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest > 0);
  if (total < 0) *--begin = '-';
  napi_value value = nullptr;
  napi_create_string_latin1(env, begin, static_cast<size_t>(end - begin), &value);
  return value;
}

double Milliseconds(const statx_timestamp& time) {
  const int64_t ms = time.tv_nsec / kNanosecondsPerMs;
  return static_cast<double>(time.tv_sec) * kMsPerSecond + static_cast<double>(ms);
}

}  // namespace

/** Source: open_by_handle_at(2). */
napi_value OpenByHandles(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  int mount_fd;
  napi_value handles;
  uint32_t count;
  int flags;
  if (!arguments.ReadInt(0, &mount_fd) || !arguments.ReadArray(1, &handles, &count) ||
      !arguments.ReadInt(2, &flags)) {
    return RejectCall(env, "expected (mountFd: number, handles: string[], flags: number)");
  }
  std::vector<int32_t> fds;
  fds.reserve(count);
  HandleMemory memory;
  // One byte more than the longest, so that a longer one is seen.
  char text[kHandleTextMax + 2];
  for (uint32_t index = 0; index < count; index += 1) {
    napi_value element = nullptr;
    size_t length = 0;
    const bool is_text =
        napi_get_element(env, handles, index, &element) == napi_ok &&
        napi_get_value_string_latin1(env, element, text, sizeof(text), &length) == napi_ok;
    if (!is_text || !ParseHandle(text, length, memory.get())) {
      fds.push_back(-EINVAL);
      continue;
    }
    const int fd = open_by_handle_at(mount_fd, memory.get(), flags | O_CLOEXEC);
    fds.push_back(fd < 0 ? -errno : fd);
  }
  return NumbersValue(env, napi_int32_array, fds);
}

/** Source: name_to_handle_at(2), AT_EMPTY_PATH. */
napi_value FileHandle(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  HandleMemory memory;
  file_handle* const handle = memory.get();
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id;
  const int result = name_to_handle_at(fd, "", handle, &mount_id, AT_EMPTY_PATH);
  const size_t size_bytes = result == 0 ? handle->handle_bytes : 0;
  napi_value reply = Reply(env, result == 0 ? 0 : errno);
  const std::vector<uint8_t> bytes(handle->f_handle, handle->f_handle + size_bytes);
  napi_set_named_property(env, reply, "type", IntValue(env, result == 0 ? handle->handle_type : 0));
  napi_set_named_property(env, reply, "handle", NumbersValue(env, napi_uint8_array, bytes));
  return reply;
}

/** Source: statx(2), fgetxattr(2). */
napi_value LookAtFiles(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  const int32_t* fds;
  size_t count;
  char attribute[XATTR_NAME_MAX + 2];
  if (!arguments.ReadInts(0, &fds, &count) ||
      !arguments.ReadText(1, attribute, sizeof(attribute))) {
    return RejectCall(env, "expected (fds: Int32Array, attribute: string)");
  }
  std::vector<double> numbers(count * kLookFields);
  std::vector<uint64_t> inodes(count);
  napi_value times = nullptr;
  napi_create_array_with_length(env, 2 * count, &times);
  for (size_t index = 0; index < count; index += 1) {
    struct statx status = {};
    const int error =
        statx(fds[index], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) == 0 ? 0 : errno;
    int attribute_error = ENODATA;
    if (error == 0 && attribute[0] != '\0' && S_ISREG(status.stx_mode)) {
      attribute_error = fgetxattr(fds[index], attribute, nullptr, 0) >= 0 ? 0 : errno;
    }
    inodes[index] = status.stx_ino;
    const double fields[kLookFields] = {
        static_cast<double>(error),
        static_cast<double>(attribute_error),
        S_ISREG(status.stx_mode) ? 1.0 : 0.0,
        static_cast<double>(status.stx_size),
        static_cast<double>(makedev(status.stx_dev_major, status.stx_dev_minor)),
        static_cast<double>(status.stx_uid),
        static_cast<double>(status.stx_gid),
        static_cast<double>(status.stx_blksize),
        static_cast<double>(status.stx_attributes),
        std::max(Milliseconds(status.stx_mtime), Milliseconds(status.stx_ctime)),
    };
    std::copy(fields, fields + kLookFields, numbers.begin() + static_cast<long>(index * kLookFields));
    const uint32_t time_index = static_cast<uint32_t>(2 * index);
    napi_set_element(env, times, time_index, TimeValue(env, status.stx_mtime));
    napi_set_element(env, times, time_index + 1, TimeValue(env, status.stx_ctime));
  }
  napi_value reply = nullptr;
  napi_create_object(env, &reply);
  napi_set_named_property(env, reply, "numbers", NumbersValue(env, napi_float64_array, numbers));
  napi_set_named_property(env, reply, "inodes", NumbersValue(env, napi_biguint64_array, inodes));
  napi_set_named_property(env, reply, "times", times);
  return reply;
}

/** Source: fstatfs(2). */
napi_value FreeBytes(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int fd;
  if (!arguments.ReadInt(0, &fd)) return RejectCall(env, "expected (fd: number)");
  struct statfs file_system;
  const bool is_told = fstatfs(fd, &file_system) == 0;
  const double free_bytes = is_told ? static_cast<double>(file_system.f_bavail) *
                                          static_cast<double>(file_system.f_bsize)
                                    : -errno;
  napi_value value = nullptr;
  napi_create_double(env, free_bytes, &value);
  return value;
}
