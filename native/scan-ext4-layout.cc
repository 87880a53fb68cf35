/** Finds ext4's inode tables: superblock and group descriptors, with every feature that moves them. */

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "scan-ext4.h"

namespace scan {

namespace {

constexpr off_t kSuperblockBytes = 1024;
constexpr uint16_t kMagic = 0xEF53;

constexpr uint32_t kCompatSparseSuper2 = 0x200;
constexpr uint32_t kIncompatMetaBg = 0x10;
constexpr uint32_t kIncompat64Bit = 0x80;
/**
 * filetype, recover, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode, dirdata, csum_seed, large_dir,
 * inline_data, encrypt, casefold. None of the others exists, or is for file systems with data.
 */
constexpr uint32_t kIncompatKnown = 0x2 | 0x4 | kIncompatMetaBg | 0x40 | kIncompat64Bit | 0x100 |
                                    0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 |
                                    0x20000;
constexpr uint32_t kRoCompatSparseSuper = 0x1;
/** uninit_bg and metadata_csum: only with one of them do descriptors say what was never used. */
constexpr uint32_t kRoCompatChecksums = 0x10 | 0x400;

constexpr uint16_t kGroupInodesUninit = 0x1;

bool IsPowerOf(uint32_t base, uint32_t group) {
  uint64_t power = base;
  while (power < group) power *= base;
  return power == group;
}

bool HasSuperblock(const Ext4Layout& layout, uint32_t group) {
  if (group == 0) return true;
  if (layout.features_compat & kCompatSparseSuper2) {
    return group == layout.backup_groups[0] || group == layout.backup_groups[1];
  }
  if (group == 1 || !(layout.features_ro_compat & kRoCompatSparseSuper)) return true;
  return IsPowerOf(3, group) || IsPowerOf(5, group) || IsPowerOf(7, group);
}

/** Where the n-th block of descriptors is. */
uint64_t DescriptorBlock(const Ext4Layout& layout, uint32_t index) {
  const bool is_meta = (layout.features_incompat & kIncompatMetaBg) != 0;
  const uint64_t superblock = layout.block_bytes == 1024 ? 1 : 0;
  if (!is_meta || index < layout.first_meta_bg) return superblock + index + 1;
  const auto group =
      static_cast<uint32_t>(layout.block_bytes / layout.descriptor_bytes * index);
  uint64_t skipped = HasSuperblock(layout, group) ? 1 : 0;
  // With blocks of 1 KiB the boot block comes before the superblock.
  if (layout.block_bytes == 1024 && index == 0 && layout.first_data_block == 0) skipped += 1;
  return layout.first_data_block + uint64_t{group} * layout.blocks_per_group + skipped;
}

}  // namespace

int ReadExt4Layout(int device_fd, Ext4Layout* layout) {
  uint8_t super[1024];
  const ssize_t bytes = pread(device_fd, super, sizeof(super), kSuperblockBytes);
  if (bytes < 0) return errno;
  if (bytes != sizeof(super) || Read16(super + 0x38) != kMagic) return EINVAL;

  layout->device_fd = device_fd;
  layout->features_compat = Read32(super + 0x5C);
  layout->features_incompat = Read32(super + 0x60);
  layout->features_ro_compat = Read32(super + 0x64);
  if (layout->features_incompat & ~kIncompatKnown) return EOPNOTSUPP;
  const bool is_64_bit = (layout->features_incompat & kIncompat64Bit) != 0;

  const uint32_t log_block = Read32(super + 0x18);
  if (log_block > 6) return EINVAL;
  layout->block_bytes = uint64_t{1024} << log_block;
  layout->block_count = Read32(super + 0x4);
  if (is_64_bit) layout->block_count |= uint64_t{Read32(super + 0x150)} << 32;
  layout->first_data_block = Read32(super + 0x14);
  layout->blocks_per_group = Read32(super + 0x20);
  layout->inodes_per_group = Read32(super + 0x28);
  layout->inode_count = Read32(super);
  layout->first_inode = std::max<uint32_t>(Read32(super + 0x54), 11);
  layout->inode_bytes = std::max<uint32_t>(Read16(super + 0x58), 128);
  layout->descriptor_bytes = is_64_bit ? std::max<uint32_t>(Read16(super + 0xFE), 32) : 32;
  layout->first_meta_bg = Read32(super + 0x104);
  layout->backup_groups[0] = Read32(super + 0x24C);
  layout->backup_groups[1] = Read32(super + 0x250);
  // Quotas of users, groups and projects; the list of orphans.
  constexpr size_t kHiddenAt[] = {0x240, 0x244, 0x26C, 0x280};
  for (size_t i = 0; i < 4; i += 1) layout->hidden_inodes[i] = Read32(super + kHiddenAt[i]);

  if (layout->blocks_per_group == 0 || layout->inodes_per_group == 0 ||
      layout->block_count <= layout->first_data_block ||
      layout->inode_bytes > layout->block_bytes ||
      layout->descriptor_bytes > layout->block_bytes) {
    return EINVAL;
  }
  const uint64_t blocks = layout->block_count - layout->first_data_block;
  layout->group_count = static_cast<uint32_t>((blocks + layout->blocks_per_group - 1) /
                                              layout->blocks_per_group);
  return 0;
}

int ReadExt4Groups(const Ext4Layout& layout, std::vector<Ext4Group>* groups) {
  const auto per_block = static_cast<uint32_t>(layout.block_bytes / layout.descriptor_bytes);
  const bool has_checksums = (layout.features_ro_compat & kRoCompatChecksums) != 0;
  const bool is_wide = layout.descriptor_bytes >= 64;
  std::vector<uint8_t> block(layout.block_bytes);
  groups->assign(layout.group_count, {});

  for (uint32_t group = 0; group < layout.group_count; group += 1) {
    if (group % per_block == 0) {
      const uint64_t at = DescriptorBlock(layout, group / per_block) * layout.block_bytes;
      const ssize_t bytes =
          pread(layout.device_fd, block.data(), block.size(), static_cast<off_t>(at));
      if (bytes < 0) return errno;
      if (bytes != static_cast<ssize_t>(block.size())) return EIO;
    }
    const uint8_t* descriptor = &block[group % per_block * layout.descriptor_bytes];
    uint64_t table = Read32(descriptor + 0x8);
    uint32_t unused = Read16(descriptor + 0x1C);
    if (is_wide) {
      table |= uint64_t{Read32(descriptor + 0x28)} << 32;
      unused |= uint32_t{Read16(descriptor + 0x32)} << 16;
    }
    if (!has_checksums) unused = 0;
    if (has_checksums && (Read16(descriptor + 0x12) & kGroupInodesUninit)) continue;
    if (table >= layout.block_count || unused > layout.inodes_per_group) return EINVAL;
    (*groups)[group] = {table, layout.inodes_per_group - unused};
  }
  return 0;
}

}  // namespace scan
