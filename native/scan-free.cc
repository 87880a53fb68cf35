/**
 * Free space: its runs on the disk, by size.
 *
 * Source: ioctl_getfsmap(2); Btrfs: linux/btrfs_tree.h, for the free-space tree, the extent tree of
 * older file systems, and what no chunk has of a device yet.
 */

#include <linux/fsmap.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "scan-btrfs.h"

namespace scan {

namespace {

constexpr uint32_t kRecordsPerCall = 4096;
constexpr uint64_t kFreeSpaceTree = BTRFS_FREE_SPACE_TREE_OBJECTID;

/** At the start of each device, for the first superblock and boot loaders. */
constexpr uint64_t kReservedBytes = 1 << 20;

enum Source { kGetfsmap, kFreeSpaceTreeSource, kExtentTreeSource };

/** Joins pieces that touch, and adds each run when the next one begins elsewhere. */
class Runs {
 public:
  explicit Runs(FreeSpace* reply) : reply_(reply) {}
  ~Runs() { Flush(); }
  void Add(uint64_t start, uint64_t length) {
    if (length == 0) return;
    if (length_ > 0 && start == start_ + length_) {
      length_ += length;
      return;
    }
    Flush();
    start_ = start;
    length_ = length;
  }
  void Flush() {
    if (length_ > 0) reply_->AddRun(start_, length_);
    length_ = 0;
  }

 private:
  FreeSpace* reply_;
  uint64_t start_ = 0;
  uint64_t length_ = 0;
};

}  // namespace

void FreeSpace::AddRun(uint64_t start, uint64_t length) {
  Count(length);
  map.Add(&cells, start, length);
  if (devices.empty()) return;
  std::vector<uint64_t> shares(devices.devices.size());
  devices.Spread(start, length,
                 [&](uint32_t device, uint64_t bytes) { shares[device] += bytes; });
  // The stripes of a run that lie on one device follow each other there.
  for (size_t i = 0; i < shares.size(); i += 1) {
    if (shares[i] > 0) device_runs[i].Count(shares[i]);
  }
}

void FreeSpace::AddGap(size_t device, uint64_t start, uint64_t length) {
  unallocated_bytes += length;
  Count(length);
  map.Add(&cells, start, length);
  if (!devices.empty()) device_runs[device].Count(length);
}

void FreeSpaceByFsmap(const Options& options, FreeSpace* reply) {
  reply->source = kGetfsmap;
  reply->failed_call = "read the free space of";
  Report report;
  const Fd mount = OpenMount(options, 0, &report);
  struct stat status;
  if (!mount.ok() || fstat(mount.get(), &status) != 0) {
    reply->error_number = errno;
    return;
  }
  PlanMap(options, &reply->map);
  reply->cells.resize(reply->map.cell_count);

  std::vector<uint64_t> storage(fsmap_sizeof(kRecordsPerCall) / 8 + 1);
  auto* request = reinterpret_cast<fsmap_head*>(storage.data());
  request->fmh_count = kRecordsPerCall;
  fsmap& upto = request->fmh_keys[1];
  upto.fmr_device = upto.fmr_flags = UINT32_MAX;
  upto.fmr_physical = upto.fmr_owner = upto.fmr_offset = UINT64_MAX;
  Runs runs(reply);
  for (;;) {
    if (ioctl(mount.get(), FS_IOC_GETFSMAP, request) != 0) {
      if (errno == EINTR) continue;
      reply->error_number = errno;
      return;
    }
    if (request->fmh_entries == 0) return;
    for (uint32_t i = 0; i < request->fmh_entries; i += 1) {
      const fsmap& record = request->fmh_recs[i];
      // XFS has a log or a real-time part on a device of its own, whose addresses are others.
      if (record.fmr_device != KernelDevice(status.st_dev)) continue;
      if (!(record.fmr_flags & FMR_OF_SPECIAL_OWNER) || record.fmr_owner != FMR_OWN_FREE) continue;
      runs.Add(record.fmr_physical, record.fmr_length);
    }
    if (request->fmh_recs[request->fmh_entries - 1].fmr_flags & FMR_OF_LAST) return;
    fsmap_advance(request);
  }
}

namespace {

class BtrfsFree {
 public:
  BtrfsFree(int fd, const BtrfsSpace& space, FreeSpace* reply)
      : search_(fd), space_(space), reply_(reply), runs_(reply) {}

  /** Bits of the bitmaps are sectors. */
  int ByFreeSpaceTree(uint64_t sector_bytes) {
    reply_->source = kFreeSpaceTreeSource;
    for (const BtrfsChunk& chunk : space_.chunks) {
      if (!(chunk.type & BTRFS_BLOCK_GROUP_DATA)) continue;
      const TreeKey from{chunk.logical, 0, 0};
      const TreeKey upto{chunk.logical + chunk.length - 1, UINT8_MAX, UINT64_MAX};
      const int error_number =
          search_.ForEach(kFreeSpaceTree, from, upto, [&](const TreeItem& item) {
            if (item.key.type == BTRFS_FREE_SPACE_EXTENT_KEY) {
              runs_.Add(item.key.objectid, item.key.offset);
            } else if (item.key.type == BTRFS_FREE_SPACE_BITMAP_KEY) {
              AddBitmap(item, sector_bytes);
            }
            return true;
          });
      if (error_number != 0) return error_number;
      runs_.Flush();
    }
    return 0;
  }

  /** What lies between the extents of a chunk. */
  int ByExtentTree() {
    reply_->source = kExtentTreeSource;
    for (const BtrfsChunk& chunk : space_.chunks) {
      if (!(chunk.type & BTRFS_BLOCK_GROUP_DATA)) continue;
      const uint64_t end = chunk.logical + chunk.length;
      uint64_t free_from = chunk.logical;
      const int error_number = search_.ForEach(
          BTRFS_EXTENT_TREE_OBJECTID, {chunk.logical, 0, 0}, {end - 1, UINT8_MAX, UINT64_MAX},
          [&](const TreeItem& item) {
            if (item.key.type != BTRFS_EXTENT_ITEM_KEY) return true;
            if (item.key.objectid > free_from) {
              runs_.Add(free_from, item.key.objectid - free_from);
            }
            free_from = item.key.objectid + item.key.offset;
            return true;
          });
      if (error_number != 0) return error_number;
      if (free_from < end) runs_.Add(free_from, end - free_from);
      runs_.Flush();
    }
    return 0;
  }

  /** What of each device is in no piece of a chunk. */
  int Unallocated(MapPlan* map) {
    struct Gap {
      size_t device;
      uint64_t start;
      uint64_t length;
    };
    std::vector<Gap> gaps;
    for (size_t index = 0; index < space_.devices.size(); index += 1) {
      const BtrfsDevice& device = space_.devices[index];
      uint64_t free_from = kReservedBytes;
      const int error_number = search_.ForEach(
          BTRFS_DEV_TREE_OBJECTID, {device.id, BTRFS_DEV_EXTENT_KEY, 0},
          {device.id, BTRFS_DEV_EXTENT_KEY, UINT64_MAX}, [&](const TreeItem& item) {
            const auto extent = item.As<btrfs_dev_extent>();
            if (item.key.offset > free_from) {
              gaps.push_back({index, device.start + free_from, item.key.offset - free_from});
            }
            free_from = item.key.offset + extent.length;
            return true;
          });
      if (error_number != 0) return error_number;
      if (free_from < device.bytes) {
        gaps.push_back({index, device.start + free_from, device.bytes - free_from});
      }
    }
    // These are places on the devices already; striped chunks are drawn without them.
    map->regions.clear();
    if (space_.is_striped) map->cell_count = 0;
    for (const Gap& gap : gaps) reply_->AddGap(gap.device, gap.start, gap.length);
    return 0;
  }

 private:
  void AddBitmap(const TreeItem& item, uint64_t sector_bytes) {
    const uint64_t bits = item.key.offset / sector_bytes;
    for (uint64_t bit = 0; bit < bits && bit / 8 < item.length; bit += 1) {
      if (item.data[bit / 8] >> (bit % 8) & 1) {
        runs_.Add(item.key.objectid + bit * sector_bytes, sector_bytes);
      }
    }
  }

  TreeSearch search_;
  const BtrfsSpace& space_;
  FreeSpace* reply_;
  Runs runs_;
};

}  // namespace

void FreeSpaceOfBtrfs(const Options& options, FreeSpace* reply) {
  reply->failed_call = "read the free space of";
  Report report;
  const Fd mount = OpenMount(options, 0, &report);
  btrfs_ioctl_fs_info_args info{};
  BtrfsSpace space;
  if (!mount.ok() || ioctl(mount.get(), BTRFS_IOC_FS_INFO, &info) != 0) {
    reply->error_number = errno;
    return;
  }
  reply->error_number = ReadBtrfsSpace(mount.get(), &space);
  if (reply->error_number != 0) return;
  if (options.map_cell_count > 0) DivideBtrfs(space, options.map_cell_count, &reply->map);
  reply->cells.resize(reply->map.cell_count);
  DivideDevices(mount.get(), space, &reply->devices);
  reply->device_runs.resize(reply->devices.devices.size());

  const uint32_t cell_count = reply->map.cell_count;
  BtrfsFree free(mount.get(), space, reply);
  reply->error_number = free.ByFreeSpaceTree(info.sectorsize);
  // ENOENT: made without one.
  if (reply->error_number == ENOENT) reply->error_number = free.ByExtentTree();
  if (reply->error_number == 0) reply->error_number = free.Unallocated(&reply->map);
  reply->map.cell_count = cell_count;
}

}  // namespace scan
