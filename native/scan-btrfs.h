/** Btrfs's trees, read by BTRFS_IOC_TREE_SEARCH_V2, and what of them more than one part needs. */

#ifndef DYNAMICFS_NATIVE_SCAN_BTRFS_H_
#define DYNAMICFS_NATIVE_SCAN_BTRFS_H_

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "scan.h"

namespace scan {

struct TreeKey {
  uint64_t objectid = 0;
  uint32_t type = 0;
  uint64_t offset = 0;
};

struct TreeItem {
  TreeKey key;
  const uint8_t* data = nullptr;
  uint32_t length = 0;

  /** A copy of the record at the start of the item, zeros where the item is shorter. */
  template <typename Record>
  Record As() const {
    Record record;
    memset(&record, 0, sizeof(record));
    memcpy(&record, data, std::min<size_t>(sizeof(record), length));
    return record;
  }
};

/** The reply of one call; as large as is quick to walk through. */
constexpr size_t kSearchBytes = 256 * 1024;

class TreeSearch {
 public:
  explicit TreeSearch(int fd) : fd_(fd), storage_((sizeof(Request) + kSearchBytes) / 8 + 1) {}

  /**
   * Calls `body` for each item from one key to another, both included, in their order; what lies
   * between two keys is of every type. `body` returns false to end it. 0 or an errno.
   */
  template <typename Body>
  int ForEach(uint64_t tree, TreeKey from, const TreeKey& upto, Body body,
              uint32_t items_per_call = UINT32_MAX) {
    auto* request = reinterpret_cast<Request*>(storage_.data());
    for (;;) {
      const int error_number = Ask(tree, from, upto, items_per_call);
      if (error_number != 0) return error_number;
      if (request->key.nr_items == 0) return 0;
      const auto* at = reinterpret_cast<const uint8_t*>(request->buf);
      for (uint32_t index = 0; index < request->key.nr_items; index += 1) {
        btrfs_ioctl_search_header header;
        memcpy(&header, at, sizeof(header));
        at += sizeof(header);
        from = {header.objectid, header.type, header.offset};
        if (!body(TreeItem{from, at, header.len})) return 0;
        at += header.len;
      }
      if (!Advance(&from)) return 0;
    }
  }

 private:
  using Request = btrfs_ioctl_search_args_v2;

  int Ask(uint64_t tree, const TreeKey& from, const TreeKey& upto, uint32_t items);
  static bool Advance(TreeKey* key);

  const int fd_;
  std::vector<uint64_t> storage_;
};

struct BtrfsChunk {
  uint64_t logical = 0;
  uint64_t length = 0;
  uint64_t type = 0;
  uint64_t stripe_bytes = 0;
  /** Of RAID10: devices that have the same stripe. */
  uint32_t sub_stripes = 1;
  /** Of each copy: where it begins, counted over all devices one behind the other. */
  std::vector<uint64_t> copies;
  /** Of each copy: the index of its device. */
  std::vector<uint32_t> devices;
};

struct BtrfsDevice {
  uint64_t id = 0;
  uint64_t bytes = 0;
  /** Where it begins, when all are one behind the other. */
  uint64_t start = 0;
};

struct BtrfsSpace {
  std::vector<BtrfsChunk> chunks;
  std::vector<BtrfsDevice> devices;
  uint64_t device_bytes = 0;
  /** Chunks whose pieces alternate between devices: an address has no one place. */
  bool is_striped = false;
};

/** 0 or an errno. */
int ReadBtrfsSpace(int fd, BtrfsSpace* space);
/** Nothing for a file system of one device. */
void DivideDevices(int fd, const BtrfsSpace& space, DevicePlan* plan);
/** Cells over the devices, or over the chunks' own addresses when they are striped. */
void DivideBtrfs(const BtrfsSpace& space, uint32_t cell_count, MapPlan* map);

/** A tree of files. */
struct BtrfsRoot {
  uint64_t id = 0;
  uint64_t parent = 0;
  /** Below the mount; the others only tell what is shared. */
  bool is_visible = false;
};

/** All trees of files; those not in deletion. 0 or an errno. */
int ReadBtrfsRoots(int fd, std::vector<BtrfsRoot>* roots);

/** Which data extents have one user, and which have more. A bit per sector of data. */
class ExtentUsers {
 public:
  ExtentUsers() = default;
  ~ExtentUsers();
  ExtentUsers(const ExtentUsers&) = delete;
  ExtentUsers& operator=(const ExtentUsers&) = delete;

  /** False when that would take too much memory. */
  bool Prepare(const BtrfsSpace& space, uint64_t sector_bytes);
  void Use(uint64_t address);
  bool IsShared(uint64_t address) const;
  bool has_shared() const { return has_shared_; }

 private:
  /** `false` when the address is in no chunk of data. */
  bool BitOf(uint64_t address, uint64_t* bit) const;

  std::vector<Region> regions_;
  uint64_t sector_bytes_ = 0;
  uint64_t word_count_ = 0;
  std::atomic<uint64_t>* used_ = nullptr;
  std::atomic<uint64_t>* shared_ = nullptr;
  std::atomic<bool> has_shared_{false};
};

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_BTRFS_H_
