/** Opens names below a mount and nowhere else, and gives files their handles. */

#include "scan-beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace scan {

namespace {

/** Longer ones are opened in steps: the kernel takes 4096 bytes with the final 0. */
constexpr size_t kPathBytesMax = 4000;

}  // namespace

/** Source: openat2(2). */
Fd OpenBeneath(int root_fd, const std::string& path, int flags) {
  if (path.size() > kPathBytesMax) {
    const size_t cut = path.rfind('/', kPathBytesMax);
    const Fd part = OpenBeneath(root_fd, path.substr(0, cut), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return part.ok() ? OpenBeneath(part.get(), path.substr(cut + 1), flags) : Fd();
  }
  return OpenEntry(root_fd, path.empty() ? "." : path.c_str(), flags);
}

Fd OpenEntry(int directory_fd, const char* name, int flags) {
  open_how how{};
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  // An O_PATH descriptor reads nothing and takes no such flag.
  how.flags = static_cast<uint64_t>(flags | (flags & O_PATH ? 0 : O_NOATIME));
  long fd = syscall(SYS_openat2, directory_fd, name, &how, sizeof(how));
  if (fd < 0 && errno == EPERM && !(flags & O_PATH)) {
    // Only its owner may read without a change of the time of access.
    how.flags = static_cast<uint64_t>(flags);
    fd = syscall(SYS_openat2, directory_fd, name, &how, sizeof(how));
  }
  return Fd(static_cast<int>(fd));
}

std::string JoinPath(const std::string& directory, const char* name) {
  return directory.empty() ? name : directory + "/" + name;
}

/** Source: name_to_handle_at(2). */
Handle HandleOf(int fd, const char* name) {
  Handle handle;
  alignas(file_handle) char storage[sizeof(file_handle) + MAX_HANDLE_SZ];
  auto* reply = reinterpret_cast<file_handle*>(storage);
  reply->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (name_to_handle_at(fd, name, reply, &mount_id, *name == 0 ? AT_EMPTY_PATH : 0) != 0 ||
      reply->handle_bytes > handle.bytes.size() || reply->handle_type > UINT8_MAX) {
    return handle;
  }
  handle.type = static_cast<uint8_t>(reply->handle_type);
  handle.length = static_cast<uint8_t>(reply->handle_bytes);
  memcpy(handle.bytes.data(), reply->f_handle, handle.length);
  return handle;
}

}  // namespace scan
