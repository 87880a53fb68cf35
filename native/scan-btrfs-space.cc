/** Btrfs's chunks, devices and trees of files, and who uses which extent. */

#include <sys/mman.h>

#include "scan-btrfs.h"

namespace scan {

namespace {

constexpr uint64_t kStripedProfiles = BTRFS_BLOCK_GROUP_RAID0 | BTRFS_BLOCK_GROUP_RAID10 |
                                      BTRFS_BLOCK_GROUP_RAID5 | BTRFS_BLOCK_GROUP_RAID6;
/** For each of two bitmaps: 3 TiB of data in sectors of 4 KiB. */
constexpr uint64_t kBitmapBytesMax = 96 << 20;

constexpr uint64_t kChunkTree = BTRFS_CHUNK_TREE_OBJECTID;

}  // namespace

int TreeSearch::Ask(uint64_t tree, const TreeKey& from, const TreeKey& upto, uint32_t items) {
  auto* request = reinterpret_cast<Request*>(storage_.data());
  for (;;) {
    memset(request, 0, sizeof(Request));
    btrfs_ioctl_search_key& key = request->key;
    key.tree_id = tree;
    key.min_objectid = from.objectid;
    key.min_type = from.type;
    key.min_offset = from.offset;
    key.max_objectid = upto.objectid;
    key.max_type = upto.type;
    key.max_offset = upto.offset;
    key.max_transid = UINT64_MAX;
    key.nr_items = items;
    request->buf_size = kSearchBytes;
    if (ioctl(fd_, BTRFS_IOC_TREE_SEARCH_V2, request) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

/** Keys are compared as a whole, so the next one keeps the type of this one. */
bool TreeSearch::Advance(TreeKey* key) {
  if (++key->offset != 0) return true;
  if (++key->type <= UINT8_MAX) return true;
  key->type = 0;
  return ++key->objectid != 0;
}

int ReadBtrfsSpace(int fd, BtrfsSpace* space) {
  TreeSearch search(fd);
  const TreeKey device_from{BTRFS_DEV_ITEMS_OBJECTID, BTRFS_DEV_ITEM_KEY, 0};
  const TreeKey device_upto{BTRFS_DEV_ITEMS_OBJECTID, BTRFS_DEV_ITEM_KEY, UINT64_MAX};
  const auto add_device = [&](const TreeItem& item) {
    const auto record = item.As<btrfs_dev_item>();
    space->devices.push_back({record.devid, record.total_bytes, space->device_bytes});
    space->device_bytes += record.total_bytes;
    return true;
  };
  const int error_number = search.ForEach(kChunkTree, device_from, device_upto, add_device);
  if (error_number != 0) return error_number;

  const TreeKey from{BTRFS_FIRST_CHUNK_TREE_OBJECTID, BTRFS_CHUNK_ITEM_KEY, 0};
  const TreeKey upto{BTRFS_FIRST_CHUNK_TREE_OBJECTID, BTRFS_CHUNK_ITEM_KEY, UINT64_MAX};
  return search.ForEach(kChunkTree, from, upto, [&](const TreeItem& item) {
    const auto record = item.As<btrfs_chunk>();
    BtrfsChunk chunk{item.key.offset, record.length,          record.type, record.stripe_len,
                     std::max<uint32_t>(record.sub_stripes, 1), {}, {}};
    if (record.type & kStripedProfiles) space->is_striped = true;
    for (uint16_t i = 0; i < record.num_stripes; i += 1) {
      const size_t at = offsetof(btrfs_chunk, stripe) + i * sizeof(btrfs_stripe);
      btrfs_stripe stripe;
      if (at + sizeof(stripe) > item.length) break;
      memcpy(&stripe, item.data + at, sizeof(stripe));
      for (size_t index = 0; index < space->devices.size(); index += 1) {
        const BtrfsDevice& device = space->devices[index];
        if (device.id != stripe.devid) continue;
        chunk.copies.push_back(device.start + stripe.offset);
        chunk.devices.push_back(static_cast<uint32_t>(index));
      }
    }
    space->chunks.push_back(std::move(chunk));
    return true;
  });
}

void DivideBtrfs(const BtrfsSpace& space, uint32_t cell_count, MapPlan* map) {
  uint64_t total = 0;
  for (const BtrfsChunk& chunk : space.chunks) {
    const bool has_place = !space.is_striped && !chunk.copies.empty();
    map->regions.push_back({chunk.logical, chunk.length, has_place ? chunk.copies[0] : total});
    total += chunk.length;
  }
  map->is_logical = space.is_striped || space.devices.size() > 1;
  map->Divide(cell_count, space.is_striped ? total : space.device_bytes);
}

/** Source: fs/btrfs/volumes.c (btrfs_map_block). */
void DivideDevices(int fd, const BtrfsSpace& space, DevicePlan* plan) {
  if (space.devices.size() < 2) return;
  for (const BtrfsDevice& device : space.devices) {
    btrfs_ioctl_dev_info_args info{};
    info.devid = device.id;
    // One that is missing has no path.
    const bool is_there = ioctl(fd, BTRFS_IOC_DEV_INFO, &info) == 0;
    const auto* path = reinterpret_cast<const char*>(info.path);
    const size_t length = strnlen(path, sizeof(info.path));
    plan->devices.push_back({device.id, is_there ? std::string(path, length) : "", device.bytes});
  }
  for (const BtrfsChunk& chunk : space.chunks) {
    if (chunk.devices.empty()) continue;
    DeviceStretch stretch{chunk.logical, chunk.length, 0, 1, 0, chunk.devices};
    const size_t width = chunk.devices.size();
    if (chunk.type & BTRFS_BLOCK_GROUP_RAID10) stretch.copy_count = chunk.sub_stripes;
    if (chunk.type & BTRFS_BLOCK_GROUP_RAID5) stretch.parity_count = 1;
    if (chunk.type & BTRFS_BLOCK_GROUP_RAID6) stretch.parity_count = 2;
    const bool fits = width > stretch.parity_count && width >= stretch.copy_count;
    if ((chunk.type & kStripedProfiles) && fits) stretch.stripe_bytes = chunk.stripe_bytes;
    plan->stretches.push_back(std::move(stretch));
  }
}

void PlanDevices(const Options& options, DevicePlan* plan) {
  if (options.fs_type != "btrfs") return;
  Report unused;
  const Fd mount = OpenMount(options, 0, &unused);
  BtrfsSpace space;
  if (!mount.ok() || ReadBtrfsSpace(mount.get(), &space) != 0) return;
  DivideDevices(mount.get(), space, plan);
}

void PlanBtrfsMap(const Options& options, MapPlan* map) {
  Report unused;
  const Fd mount = OpenMount(options, 0, &unused);
  BtrfsSpace space;
  if (!mount.ok() || ReadBtrfsSpace(mount.get(), &space) != 0) return;
  DivideBtrfs(space, options.map_cell_count, map);
}

int ReadBtrfsRoots(int fd, std::vector<BtrfsRoot>* roots) {
  btrfs_ioctl_ino_lookup_args lookup{};
  lookup.objectid = BTRFS_FIRST_FREE_OBJECTID;
  if (ioctl(fd, BTRFS_IOC_INO_LOOKUP, &lookup) != 0) return errno;

  TreeSearch search(fd);
  const TreeKey from{BTRFS_FS_TREE_OBJECTID, 0, 0};
  const TreeKey upto{BTRFS_LAST_FREE_OBJECTID, UINT8_MAX, UINT64_MAX};
  const int error_number =
      search.ForEach(BTRFS_ROOT_TREE_OBJECTID, from, upto, [&](const TreeItem& item) {
        const uint64_t id = item.key.objectid;
        if (id != BTRFS_FS_TREE_OBJECTID && id < BTRFS_FIRST_FREE_OBJECTID) return true;
        if (item.key.type == BTRFS_ROOT_ITEM_KEY) {
          const auto record = item.As<btrfs_root_item>();
          if (record.refs > 0) roots->push_back({id, 0, id == lookup.treeid});
        } else if (item.key.type == BTRFS_ROOT_BACKREF_KEY && !roots->empty() &&
                   roots->back().id == id) {
          roots->back().parent = item.key.offset;
        }
        return true;
      });
  // A child may have a lower number than its parent.
  for (bool changed = true; changed;) {
    changed = false;
    for (BtrfsRoot& root : *roots) {
      if (root.is_visible || root.parent == 0) continue;
      const auto parent = std::find_if(roots->begin(), roots->end(), [&](const BtrfsRoot& other) {
        return other.id == root.parent;
      });
      if (parent != roots->end() && parent->is_visible) root.is_visible = changed = true;
    }
  }
  return error_number;
}

ExtentUsers::~ExtentUsers() {
  if (used_ != nullptr) munmap(static_cast<void*>(used_), word_count_ * 8);
  if (shared_ != nullptr) munmap(static_cast<void*>(shared_), word_count_ * 8);
}

bool ExtentUsers::Prepare(const BtrfsSpace& space, uint64_t sector_bytes) {
  uint64_t bits = 0;
  for (const BtrfsChunk& chunk : space.chunks) {
    if (!(chunk.type & BTRFS_BLOCK_GROUP_DATA)) continue;
    regions_.push_back({chunk.logical, chunk.length, bits});
    bits += chunk.length / sector_bytes + 1;
  }
  sector_bytes_ = sector_bytes;
  word_count_ = bits / 64 + 1;
  if (word_count_ * 8 > kBitmapBytesMax) return false;
  // Only what is touched takes memory, and the second bitmap only where extents are shared.
  const auto map = [&] {
    return mmap(nullptr, word_count_ * 8, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  void* used = map();
  if (used == MAP_FAILED) return false;
  used_ = static_cast<std::atomic<uint64_t>*>(used);
  void* shared = map();
  if (shared == MAP_FAILED) return false;
  shared_ = static_cast<std::atomic<uint64_t>*>(shared);
  return true;
}

bool ExtentUsers::BitOf(uint64_t address, uint64_t* bit) const {
  auto region = std::upper_bound(regions_.begin(), regions_.end(), address,
                                 [](uint64_t at, const Region& r) { return at < r.from; });
  if (region == regions_.begin()) return false;
  --region;
  if (address - region->from >= region->length) return false;
  *bit = region->to + (address - region->from) / sector_bytes_;
  return true;
}

void ExtentUsers::Use(uint64_t address) {
  uint64_t bit;
  if (!BitOf(address, &bit)) return;
  const uint64_t mask = uint64_t{1} << (bit % 64);
  if ((used_[bit / 64].fetch_or(mask, std::memory_order_relaxed) & mask) == 0) return;
  shared_[bit / 64].fetch_or(mask, std::memory_order_relaxed);
  has_shared_.store(true, std::memory_order_relaxed);
}

bool ExtentUsers::IsShared(uint64_t address) const {
  uint64_t bit;
  return BitOf(address, &bit) && (shared_[bit / 64].load() >> (bit % 64) & 1) != 0;
}

}  // namespace scan
