/**
 * Whether anything at all is shared on an XFS, which spares opening the files that have one record.
 *
 * Each allocation group lists its shared extents in a tree of its own, whose root is read from the
 * device. The device may be a while behind the kernel's memory, but only since the mount: an empty
 * root there, and no record added since the mount (sysfs counts them), mean that nothing is shared.
 *
 * Source: fs/xfs/libxfs/xfs_format.h (xfs_agf, xfs_btree_block); fs/xfs/xfs_stats.c.
 */

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "scan-xfs.h"

namespace scan {

namespace {

constexpr size_t kPageBytes = 4096;
constexpr uint32_t kGroupMagic = 0x58414746;     // XAGF
constexpr uint32_t kRefcountMagic = 0x52334643;  // R3FC
constexpr size_t kRefcountRootAt = 88;
constexpr size_t kRefcountLevelAt = 92;
constexpr size_t kRecordCountAt = 6;

uint32_t Big32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof(value));
  return be32toh(value);
}

/** By O_DIRECT, since XFS writes past the page cache of its device. */
class Device {
 public:
  explicit Device(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)) {
    if (posix_memalign(&page_, kPageBytes, kPageBytes) != 0) page_ = nullptr;
  }
  ~Device() { free(page_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /** Null when it cannot be read. `at` is a multiple of 512. */
  const uint8_t* Read(uint64_t at) {
    if (!fd_.ok() || page_ == nullptr) return nullptr;
    const uint64_t from = at / kPageBytes * kPageBytes;
    const ssize_t bytes = pread(fd_.get(), page_, kPageBytes, static_cast<off_t>(from));
    if (bytes != static_cast<ssize_t>(kPageBytes)) return nullptr;
    return static_cast<const uint8_t*>(page_) + (at - from);
  }

 private:
  const Fd fd_;
  void* page_ = nullptr;
};

/** Records added to the trees of shared extents since the mount; -1 when that is not told. */
long AddedSinceMount(dev_t device) {
  const std::string link =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  char target[256] = {};
  if (readlink(link.c_str(), target, sizeof(target) - 1) <= 0) return -1;
  const char* name = strrchr(target, '/');
  if (name == nullptr) return -1;
  FILE* file = fopen(("/sys/fs/xfs" + std::string(name) + "/stats/stats").c_str(), "re");
  if (file == nullptr) return -1;
  char line[512];
  long added = -1;
  while (fgets(line, sizeof(line), file) != nullptr) {
    if (sscanf(line, "refcntbt %*u %*u %ld", &added) == 1) break;
  }
  fclose(file);
  return added;
}

}  // namespace

bool XfsSharesNothing(const XfsGeometry& geometry, const std::string& device_path, int mount_fd) {
  constexpr uint32_t kHasReflink = 1 << 20;
  if (!(geometry.flags & kHasReflink)) return true;

  struct stat mount;
  struct stat status;
  if (fstat(mount_fd, &mount) != 0 || AddedSinceMount(mount.st_dev) != 0) return false;
  if (stat(device_path.c_str(), &status) != 0 || status.st_rdev != mount.st_dev) return false;
  Device device(device_path);
  const uint64_t group_bytes = uint64_t{geometry.group_blocks} * geometry.block_bytes;
  for (uint32_t group = 0; group < geometry.group_count; group += 1) {
    const uint64_t start = group * group_bytes;
    const uint8_t* header = device.Read(start + geometry.sector_bytes);
    if (header == nullptr || Big32(header) != kGroupMagic) return false;
    if (Big32(header + kRefcountLevelAt) != 1) return false;
    const uint64_t root = start + uint64_t{Big32(header + kRefcountRootAt)} * geometry.block_bytes;
    const uint8_t* block = device.Read(root);
    if (block == nullptr || Big32(block) != kRefcountMagic) return false;
    if (block[kRecordCountAt] != 0 || block[kRecordCountAt + 1] != 0) return false;
  }
  return true;
}

}  // namespace scan
