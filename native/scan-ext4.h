/**
 * The part of ext4's format on the disk that says where files lie.
 *
 * Source: Documentation/filesystems/ext4 (Data Structures and Algorithms).
 */

#ifndef DYNAMICFS_NATIVE_SCAN_EXT4_H_
#define DYNAMICFS_NATIVE_SCAN_EXT4_H_

#include <cstring>

#include "scan.h"

namespace scan {

inline uint16_t Read16(const uint8_t* at) {
  uint16_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}
inline uint32_t Read32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}
inline uint64_t Read64(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}

struct Ext4Layout {
  int device_fd = -1;
  uint64_t block_bytes = 0;
  uint64_t block_count = 0;
  uint32_t first_data_block = 0;
  uint32_t blocks_per_group = 0;
  uint32_t inodes_per_group = 0;
  uint32_t inode_count = 0;
  uint32_t inode_bytes = 0;
  uint32_t first_inode = 0;
  uint32_t group_count = 0;
  uint32_t descriptor_bytes = 0;
  uint32_t first_meta_bg = 0;
  uint32_t features_compat = 0;
  uint32_t features_incompat = 0;
  uint32_t features_ro_compat = 0;
  uint32_t backup_groups[2] = {};
  /** Inodes of the file system itself that may lie among those of users. */
  uint32_t hidden_inodes[4] = {};
};

struct Ext4Group {
  uint64_t table_block = 0;
  /** From the start of the table; what follows was never used. */
  uint32_t used_inodes = 0;
};

/** 0, EOPNOTSUPP when there is a feature that this does not know, or another errno. */
int ReadExt4Layout(int device_fd, Ext4Layout* layout);
int ReadExt4Groups(const Ext4Layout& layout, std::vector<Ext4Group>* groups);

constexpr uint32_t kExt4ExtentsFlag = 0x80000;
constexpr uint32_t kExt4EaInodeFlag = 0x200000;
constexpr uint32_t kExt4InlineFlag = 0x10000000;
constexpr size_t kExt4BlockArea = 0x28;
constexpr size_t kExt4BlockAreaBytes = 60;

inline uint64_t Ext4SizeOf(const uint8_t* inode) {
  return uint64_t{Read32(inode + 0x6C)} << 32 | Read32(inode + 0x4);
}

/** Whether one written record is all of the file, as it is of most; then it goes to `mapping`. */
bool Ext4IsWhole(const Ext4Layout& layout, const uint8_t* inode, Mapping* mapping);
/** Whether the mappings of the inode begin in a block of their own; that block goes to `blocks`. */
bool Ext4HasTree(const uint8_t* inode);
void Ext4TreeBlocks(const uint8_t* inode, std::vector<uint64_t>* blocks);
/** Asks the disk for blocks, all at once and in their order. */
void Ext4ReadAhead(const Ext4Layout& layout, std::vector<uint64_t>* blocks);

/** Feeds the mappings of an inode to the tally. False when they make no sense (they changed). */
class Ext4Mapper {
 public:
  explicit Ext4Mapper(const Ext4Layout& layout) : layout_(layout) {}
  bool Map(const uint8_t* inode, Tally* tally);

 private:
  bool MapTree(const uint8_t* node, size_t node_bytes, int depth, uint64_t from, uint64_t upto);
  bool MapLeaf(const uint8_t* node, uint32_t count, uint64_t from, uint64_t upto);
  bool MapIndirect(uint32_t block, int depth, uint64_t* logical);
  const uint8_t* ReadBlock(uint64_t block, size_t level);

  const Ext4Layout& layout_;
  Tally* tally_ = nullptr;
  /** A block per level, kept from file to file. */
  std::vector<std::vector<uint8_t>> blocks_;
};

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_EXT4_H_
