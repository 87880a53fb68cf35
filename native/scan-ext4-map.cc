/** Where a file of ext4 lies: its extent tree, or the block map of files older than ext4. */

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "scan-ext4.h"

namespace scan {

namespace {

constexpr uint16_t kNodeMagic = 0xF30A;
constexpr size_t kRecordBytes = 12;
/** The kernel makes none deeper. Source: EXT4_MAX_EXTENT_DEPTH. */
constexpr int kDepthMax = 5;
/** Longer ones are unwritten, by what is above. */
constexpr uint32_t kWrittenBlocksMax = 32768;
constexpr uint64_t kLogicalMax = uint64_t{1} << 32;
constexpr uint32_t kDirectBlocks = 12;

const uint8_t* AreaOf(const uint8_t* inode) { return inode + kExt4BlockArea; }

uint64_t ChildOf(const uint8_t* record) {
  return uint64_t{Read16(record + 8)} << 32 | Read32(record + 4);
}

/** Of a record in a leaf. */
uint64_t PlaceOf(const uint8_t* record) {
  return uint64_t{Read16(record + 6)} << 32 | Read32(record + 8);
}

}  // namespace

bool Ext4IsWhole(const Ext4Layout& layout, const uint8_t* inode, Mapping* mapping) {
  constexpr uint32_t kOneRecord = uint32_t{1} << 16 | kNodeMagic;
  if ((Read32(inode + 0x20) & (kExt4ExtentsFlag | kExt4InlineFlag)) != kExt4ExtentsFlag) {
    return false;
  }
  const uint8_t* area = AreaOf(inode);
  const uint8_t* record = area + kRecordBytes;
  if (Read32(area) != kOneRecord || Read16(area + 6) != 0 || Read32(record) != 0) return false;
  const uint32_t length = Read16(record + 4);
  const uint64_t physical = PlaceOf(record);
  if (length == 0 || length > kWrittenBlocksMax || physical + length > layout.block_count) {
    return false;
  }
  *mapping = {0, physical * layout.block_bytes, length * layout.block_bytes, 0};
  return mapping->length >= Ext4SizeOf(inode);
}

bool Ext4HasTree(const uint8_t* inode) {
  const uint32_t flags = Read32(inode + 0x20);
  if (flags & kExt4InlineFlag) return false;
  const uint8_t* area = AreaOf(inode);
  if (flags & kExt4ExtentsFlag) return Read16(area + 6) > 0;
  return Read32(area + 4 * kDirectBlocks) != 0;
}

void Ext4TreeBlocks(const uint8_t* inode, std::vector<uint64_t>* blocks) {
  const uint8_t* area = AreaOf(inode);
  if (!(Read32(inode + 0x20) & kExt4ExtentsFlag)) {
    for (size_t i = kDirectBlocks; i < 15; i += 1) {
      if (const uint32_t block = Read32(area + 4 * i)) blocks->push_back(block);
    }
    return;
  }
  const size_t count = std::min<size_t>(Read16(area + 2), kExt4BlockAreaBytes / kRecordBytes - 1);
  for (size_t i = 1; i <= count; i += 1) blocks->push_back(ChildOf(area + i * kRecordBytes));
}

void Ext4ReadAhead(const Ext4Layout& layout, std::vector<uint64_t>* blocks) {
  std::sort(blocks->begin(), blocks->end());
  for (size_t first = 0; first < blocks->size();) {
    size_t last = first;
    while (last + 1 < blocks->size() && (*blocks)[last + 1] <= (*blocks)[last] + 1) last += 1;
    const uint64_t count = (*blocks)[last] - (*blocks)[first] + 1;
    posix_fadvise(layout.device_fd, static_cast<off_t>((*blocks)[first] * layout.block_bytes),
                  static_cast<off_t>(count * layout.block_bytes), POSIX_FADV_WILLNEED);
    first = last + 1;
  }
  blocks->clear();
}

bool Ext4Mapper::Map(const uint8_t* inode, Tally* tally) {
  tally_ = tally;
  const uint32_t flags = Read32(inode + 0x20);
  if (flags & kExt4InlineFlag) {
    tally->SetInline();
    return true;
  }
  const uint8_t* area = AreaOf(inode);
  if (flags & kExt4ExtentsFlag) {
    return MapTree(area, kExt4BlockAreaBytes, Read16(area + 6), 0, kLogicalMax);
  }
  uint64_t logical = 0;
  for (uint32_t i = 0; i < 15; i += 1) {
    const int depth = i < kDirectBlocks ? 0 : static_cast<int>(i - kDirectBlocks + 1);
    if (!MapIndirect(Read32(area + 4 * i), depth, &logical)) return false;
  }
  return true;
}

/** Every record must lie in the range that its parent gives it; else the node is no longer ours. */
bool Ext4Mapper::MapTree(const uint8_t* node, size_t node_bytes, int depth, uint64_t from,
                         uint64_t upto) {
  const uint32_t count = Read16(node + 2);
  if (Read16(node) != kNodeMagic || Read16(node + 6) != depth || depth > kDepthMax ||
      (count + 1) * kRecordBytes > node_bytes) {
    return false;
  }
  if (depth == 0) return MapLeaf(node, count, from, upto);

  if (depth > 1) {
    std::vector<uint64_t> children;
    for (uint32_t i = 1; i <= count; i += 1) children.push_back(ChildOf(node + i * kRecordBytes));
    Ext4ReadAhead(layout_, &children);
  }
  for (uint32_t i = 1; i <= count; i += 1) {
    const uint8_t* record = node + i * kRecordBytes;
    const uint64_t start = Read32(record);
    const uint64_t end = i < count ? Read32(record + kRecordBytes) : upto;
    if (start < from || end > upto || start >= end) return false;
    const uint8_t* child = ReadBlock(ChildOf(record), static_cast<size_t>(depth));
    if (child == nullptr || !MapTree(child, layout_.block_bytes, depth - 1, start, end)) {
      return false;
    }
  }
  return true;
}

bool Ext4Mapper::MapLeaf(const uint8_t* node, uint32_t count, uint64_t from, uint64_t upto) {
  for (uint32_t i = 1; i <= count; i += 1) {
    const uint8_t* record = node + i * kRecordBytes;
    const uint64_t logical = Read32(record);
    uint32_t length = Read16(record + 4);
    const bool is_unwritten = length > kWrittenBlocksMax;
    if (is_unwritten) length -= kWrittenBlocksMax;
    const uint64_t physical = PlaceOf(record);
    if (length == 0 || logical < from || logical + length > upto ||
        physical + length > layout_.block_count) {
      return false;
    }
    from = logical + length;
    tally_->Add({logical * layout_.block_bytes, physical * layout_.block_bytes,
                 length * layout_.block_bytes, is_unwritten ? kUnwritten : 0});
  }
  return true;
}

bool Ext4Mapper::MapIndirect(uint32_t block, int depth, uint64_t* logical) {
  const uint64_t per_block = layout_.block_bytes / 4;
  if (block == 0) {
    uint64_t skipped = 1;
    for (int level = 0; level < depth; level += 1) skipped *= per_block;
    *logical += skipped;
    return true;
  }
  if (block >= layout_.block_count) return false;
  if (depth == 0) {
    const uint64_t bytes = layout_.block_bytes;
    tally_->Add({*logical * bytes, block * bytes, bytes, 0});
    *logical += 1;
    return true;
  }
  const uint8_t* node = ReadBlock(block, static_cast<size_t>(depth));
  if (node == nullptr) return false;
  for (uint64_t i = 0; i < per_block; i += 1) {
    if (!MapIndirect(Read32(node + 4 * i), depth - 1, logical)) return false;
  }
  return true;
}

const uint8_t* Ext4Mapper::ReadBlock(uint64_t block, size_t level) {
  if (block >= layout_.block_count) return nullptr;
  if (blocks_.size() <= level) blocks_.resize(level + 1);
  std::vector<uint8_t>& buffer = blocks_[level];
  buffer.resize(layout_.block_bytes);
  const auto at = static_cast<off_t>(block * layout_.block_bytes);
  const ssize_t bytes = pread(layout_.device_fd, buffer.data(), buffer.size(), at);
  return bytes == static_cast<ssize_t>(buffer.size()) ? buffer.data() : nullptr;
}

}  // namespace scan
