/**
 * The names of the worst files: for people, who cannot do with a handle.
 *
 * The kernel knows the path of a file whose directories it has in memory. For the others all
 * directories are listed, until each is found; that opens no file.
 *
 * Source: open_by_handle_at(2), proc(5) (/proc/PID/fd).
 */

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <unordered_map>

#include "scan-walk.h"

namespace scan {

namespace {

constexpr size_t kListBytes = 64 * 1024;

bool IsSame(const Handle& a, const Handle& b) {
  return a.type == b.type && a.length == b.length && memcmp(a.bytes.data(), b.bytes.data(), a.length) == 0;
}

/** @returns the path below the mount, empty when the kernel does not know it. */
std::string KnownPath(const Options& options, int mount_fd, const Handle& handle,
                      uint64_t* inode) {
  const Fd file = OpenByHandle(mount_fd, handle);
  struct stat status;
  if (!file.ok() || fstat(file.get(), &status) != 0) return "";
  *inode = status.st_ino;
  char text[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(file.get());
  const ssize_t bytes = readlink(link.c_str(), text, sizeof(text));
  const std::string& mount = options.mount_path;
  const std::string prefix = mount == "/" ? mount : mount + "/";
  const std::string path(text, bytes < 0 ? 0 : static_cast<size_t>(bytes));
  if (path.size() <= prefix.size() || path.compare(0, prefix.size(), prefix) != 0) return "";
  // What is not connected, deleted or under another mount has a path that leads elsewhere.
  const std::string below = path.substr(prefix.size());
  const Fd again = OpenBeneath(mount_fd, below, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat other;
  if (!again.ok() || fstat(again.get(), &other) != 0) return "";
  return other.st_dev == status.st_dev && other.st_ino == status.st_ino ? below : "";
}

class Finder {
 public:
  explicit Finder(int mount_fd) : mount_fd_(mount_fd) {}

  void Want(uint64_t inode, Candidate* file) { wanted_.emplace(inode, file); }

  void Search(const Control& control) {
    std::vector<std::string> waiting{""};
    std::vector<char> list(kListBytes);
    while (!waiting.empty() && !wanted_.empty() && !control.ShouldStop()) {
      const std::string path = std::move(waiting.back());
      waiting.pop_back();
      const Fd directory =
          OpenBeneath(mount_fd_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (!directory.ok()) continue;
      for (;;) {
        const long bytes = syscall(SYS_getdents64, directory.get(), list.data(), list.size());
        if (bytes <= 0) break;
        ForEachEntry(list.data(), static_cast<size_t>(bytes), [&](const dirent64* entry) {
          if (entry->d_type == DT_DIR) waiting.push_back(JoinPath(path, entry->d_name));
          if (entry->d_type == DT_REG) Compare(directory.get(), path, entry);
        });
      }
    }
  }

 private:
  /** Trees of Btrfs each have their own numbers, so the whole handle is compared. */
  void Compare(int directory_fd, const std::string& path, const dirent64* entry) {
    auto [found, end] = wanted_.equal_range(entry->d_ino);
    if (found == end) return;
    const Handle handle = HandleOf(directory_fd, entry->d_name);
    for (; found != end; ++found) {
      if (!IsSame(handle, found->second->handle)) continue;
      found->second->path = JoinPath(path, entry->d_name);
      wanted_.erase(found);
      return;
    }
  }

  const int mount_fd_;
  std::unordered_multimap<uint64_t, Candidate*> wanted_;
};

}  // namespace

void NameCandidates(const Options& options, std::vector<Candidate>* candidates) {
  Report unused;
  const Fd mount = OpenMount(options, 0, &unused);
  if (!mount.ok()) return;
  Finder finder(mount.get());
  const size_t count = std::min<size_t>(options.name_count, candidates->size());
  for (size_t index = 0; index < count; index += 1) {
    Candidate* file = &(*candidates)[index];
    if (!file->path.empty() || file->handle.length == 0) continue;
    uint64_t inode = 0;
    file->path = KnownPath(options, mount.get(), file->handle, &inode);
    if (file->path.empty() && inode != 0) finder.Want(inode, file);
  }
  finder.Search(Control(options.control));
}

}  // namespace scan
