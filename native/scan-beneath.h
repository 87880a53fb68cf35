/** Opening and naming files without ever leaving a mount. */

#ifndef DYNAMICFS_NATIVE_SCAN_BENEATH_H_
#define DYNAMICFS_NATIVE_SCAN_BENEATH_H_

#include <dirent.h>

#include <cstring>

#include "scan.h"

namespace scan {

/** Opens a path that stays below `root_fd`, on the same mount, through no link. Sets errno. */
Fd OpenBeneath(int root_fd, const std::string& path, int flags);

/** The same for one name in an open directory, without a copy of it. */
Fd OpenEntry(int directory_fd, const char* name, int flags);

std::string JoinPath(const std::string& directory, const char* name);

/** Handle of an open file, or of a name in an open directory; `length` 0 when there is none. */
Handle HandleOf(int fd, const char* name = "");

/** Calls `body` for every entry of what getdents64 filled in, but `.` and `..`. */
template <typename Body>
void ForEachEntry(char* list, size_t bytes, Body body) {
  for (size_t at = 0; at < bytes;) {
    const auto* entry = reinterpret_cast<const dirent64*>(list + at);
    at += entry->d_reclen;
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) body(entry);
  }
}

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_BENEATH_H_
