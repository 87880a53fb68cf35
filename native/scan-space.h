/**
 * Where on the disks something lies: the cells of the map, and the devices of a Btrfs of several.
 *
 * Btrfs has addresses of its own, in chunks; each chunk lies on one device or on several.
 */

#ifndef DYNAMICFS_NATIVE_SCAN_SPACE_H_
#define DYNAMICFS_NATIVE_SCAN_SPACE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace scan {

constexpr size_t kClassCount = 64;

/** log2 classes: [0] counts 1, [1] counts 2, [2] counts 3 and 4, and so on. */
size_t CountClass(uint64_t count);
size_t SizeClass(uint64_t bytes);

/** As st_dev is in user space, packed the way that the kernel hands out device numbers. */
uint32_t KernelDevice(uint64_t device);

/** From the addresses in mappings to those of the map: a piece that is one in both. */
struct Region {
  uint64_t from = 0;
  uint64_t length = 0;
  uint64_t to = 0;
};

struct MapPlan {
  uint32_t cell_count = 0;
  uint64_t space_bytes = 0;
  uint64_t cell_bytes = 0;
  bool is_logical = false;
  /** Sorted; none when both have the same addresses. */
  std::vector<Region> regions;

  void Divide(uint32_t cells, uint64_t bytes);
  /** Adds a range to the cells that it touches. */
  void Add(std::vector<uint64_t>* cells, uint64_t start, uint64_t length) const;
};

/** A chunk: on each of its devices whole, or in stripes that take turns. */
struct DeviceStretch {
  uint64_t from = 0;
  uint64_t length = 0;
  /** 0 for none: every device has all of it. */
  uint64_t stripe_bytes = 0;
  /** Devices that have the same stripe. */
  uint32_t copy_count = 1;
  /** Stripes of a row that hold parity, whose place moves on by one from row to row. */
  uint32_t parity_count = 0;
  /** Indexes of DevicePlan::devices; twice the same for two copies on one device. */
  std::vector<uint32_t> devices;
};

struct PlannedDevice {
  uint64_t id = 0;
  std::string path;
  uint64_t bytes = 0;
};

/** Empty for all but a Btrfs of several devices. */
struct DevicePlan {
  std::vector<PlannedDevice> devices;
  /** Sorted. */
  std::vector<DeviceStretch> stretches;

  bool empty() const { return devices.empty(); }

  /** Calls `body` with the index of a device and bytes on it, for each part of a range. */
  template <typename Body>
  void Spread(uint64_t start, uint64_t length, Body body) const {
    const uint64_t end = start + length;
    auto stretch = std::upper_bound(
        stretches.begin(), stretches.end(), start,
        [](uint64_t at, const DeviceStretch& one) { return at < one.from; });
    if (stretch != stretches.begin()) --stretch;
    for (; stretch != stretches.end() && stretch->from < end; ++stretch) {
      const uint64_t from = std::max(start, stretch->from);
      const uint64_t upto = std::min(end, stretch->from + stretch->length);
      if (from < upto) SpreadIn(*stretch, from - stretch->from, upto - stretch->from, body);
    }
  }

 private:
  template <typename Body>
  static void SpreadIn(const DeviceStretch& stretch, uint64_t from, uint64_t upto, Body body) {
    if (stretch.stripe_bytes == 0) {
      for (const uint32_t device : stretch.devices) body(device, upto - from);
      return;
    }
    const uint64_t width = stretch.devices.size();
    const uint64_t in_row = (width - stretch.parity_count) / stretch.copy_count;
    while (from < upto) {
      const uint64_t number = from / stretch.stripe_bytes;
      const uint64_t bytes = std::min(upto, (number + 1) * stretch.stripe_bytes) - from;
      const uint64_t moved_on = stretch.parity_count > 0 ? number / in_row : 0;
      const uint64_t first = number % in_row * stretch.copy_count + moved_on;
      for (uint32_t copy = 0; copy < stretch.copy_count; copy += 1) {
        body(stretch.devices[(first + copy) % width], bytes);
      }
      from += bytes;
    }
  }
};

/** Free space by size, of a file system or of one of its devices. */
struct FreeRuns {
  uint64_t free_bytes = 0;
  uint64_t largest_bytes = 0;
  uint64_t run_count = 0;
  std::array<uint64_t, kClassCount> class_counts{};
  std::array<uint64_t, kClassCount> class_bytes{};

  void Count(uint64_t length);
};

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_SPACE_H_
