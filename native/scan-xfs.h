/** What the parts of the scan of XFS share. Source: fs/xfs/libxfs/xfs_fs.h. */

#ifndef DYNAMICFS_NATIVE_SCAN_XFS_H_
#define DYNAMICFS_NATIVE_SCAN_XFS_H_

#include "scan.h"

namespace scan {

/** struct xfs_fsop_geom. */
struct XfsGeometry {
  uint32_t block_bytes;
  uint32_t realtime_blocks;
  uint32_t group_blocks;
  uint32_t group_count;
  uint32_t log_blocks;
  uint32_t sector_bytes;
  uint32_t before_flags[17];
  uint32_t flags;
  uint32_t after_flags[40];
};
static_assert(sizeof(XfsGeometry) == 256, "as the kernel has it");

/** False also when that cannot be told. */
bool XfsSharesNothing(const XfsGeometry& geometry, const std::string& device_path, int mount_fd);
/**
 * Lists the inodes that share blocks, sorted. False when the file system has no reverse map, or they
 * are too many.
 */
bool XfsSharingFiles(const XfsGeometry& geometry, int mount_fd, uint32_t thread_count,
                     std::vector<uint64_t>* inodes);

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_XFS_H_
