/**
 * Which files of an XFS share blocks, from its reverse map: only these have to be opened for that.
 *
 * The kernel lists the records of an allocation group with their owners (FS_IOC_GETFSMAP), and marks
 * those of which any block is shared. Without a reverse map (mkfs.xfs -m rmapbt=1) it names no owner.
 *
 * Source: ioctl_getfsmap(2); fs/xfs/xfs_fsmap.c (xfs_getfsmap_is_shared).
 */

#include <linux/fsmap.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "scan-xfs.h"

namespace scan {

namespace {

constexpr uint32_t kRecordsPerCall = 4096;
/** 32 MiB of numbers: with more files than these that share, each file is opened. */
constexpr size_t kOwnersMax = 1 << 22;

void SortOnce(std::vector<uint64_t>* numbers) {
  std::sort(numbers->begin(), numbers->end());
  numbers->erase(std::unique(numbers->begin(), numbers->end()), numbers->end());
}

/** Adds the inodes with shared blocks in a range of bytes. 0 or an errno. */
int ReadOwners(int mount_fd, uint64_t start, uint64_t end, std::vector<uint64_t>* owners) {
  struct stat status;
  if (fstat(mount_fd, &status) != 0) return errno;
  std::vector<uint64_t> storage(fsmap_sizeof(kRecordsPerCall) / 8 + 1);
  auto* request = reinterpret_cast<fsmap_head*>(storage.data());
  request->fmh_count = kRecordsPerCall;
  fsmap& from = request->fmh_keys[0];
  fsmap& upto = request->fmh_keys[1];
  from.fmr_device = upto.fmr_device = KernelDevice(status.st_dev);
  from.fmr_physical = start;
  upto.fmr_physical = end - 1;
  upto.fmr_owner = upto.fmr_offset = UINT64_MAX;
  upto.fmr_flags = UINT32_MAX;
  for (;;) {
    if (ioctl(mount_fd, FS_IOC_GETFSMAP, request) != 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (request->fmh_entries == 0) return 0;
    for (uint32_t i = 0; i < request->fmh_entries; i += 1) {
      const fsmap& record = request->fmh_recs[i];
      if ((record.fmr_flags & FMR_OF_SHARED) == 0) continue;
      if ((record.fmr_flags & FMR_OF_SPECIAL_OWNER) == 0) owners->push_back(record.fmr_owner);
    }
    if (owners->size() > 2 * kOwnersMax) SortOnce(owners);
    if (owners->size() > kOwnersMax) return E2BIG;
    if (request->fmh_recs[request->fmh_entries - 1].fmr_flags & FMR_OF_LAST) return 0;
    fsmap_advance(request);
  }
}

}  // namespace

bool XfsSharingFiles(const XfsGeometry& geometry, int mount_fd, uint32_t thread_count,
                     std::vector<uint64_t>* inodes) {
  constexpr uint32_t kHasReverseMap = 1 << 19;
  if (!(geometry.flags & kHasReverseMap)) return false;

  const uint64_t group_bytes = uint64_t{geometry.group_blocks} * geometry.block_bytes;
  std::atomic<uint32_t> next_group{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  const int error_number = RunThreads(thread_count, [&](uint32_t) {
    std::vector<uint64_t> own;
    while (!failed) {
      const uint32_t group = next_group.fetch_add(1);
      if (group >= geometry.group_count) break;
      const uint64_t start = group * group_bytes;
      if (ReadOwners(mount_fd, start, start + group_bytes, &own) != 0) failed = true;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    inodes->insert(inodes->end(), own.begin(), own.end());
  });
  SortOnce(inodes);
  return error_number == 0 && !failed && inodes->size() <= kOwnersMax;
}

}  // namespace scan
