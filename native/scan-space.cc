/** Cells, classes and runs: the sums of what lies where. */

#include "scan-space.h"

namespace scan {

size_t CountClass(uint64_t count) {
  return count <= 1 ? 0 : 64 - static_cast<size_t>(__builtin_clzll(count - 1));
}

size_t SizeClass(uint64_t bytes) {
  return bytes == 0 ? 0 : 63 - static_cast<size_t>(__builtin_clzll(bytes));
}

void MapPlan::Divide(uint32_t cells, uint64_t bytes) {
  constexpr uint64_t kBlockBytes = 4096;
  if (cells == 0 || bytes == 0) return;
  space_bytes = bytes;
  cell_bytes = (bytes / cells + kBlockBytes) / kBlockBytes * kBlockBytes;
  cell_count = static_cast<uint32_t>((bytes + cell_bytes - 1) / cell_bytes);
}

void MapPlan::Add(std::vector<uint64_t>* cells, uint64_t start, uint64_t length) const {
  const auto spread = [&](uint64_t from, uint64_t bytes) {
    const uint64_t end = std::min(from + bytes, space_bytes);
    while (from < end) {
      const uint64_t index = from / cell_bytes;
      const uint64_t upto = std::min(end, (index + 1) * cell_bytes);
      (*cells)[index] += upto - from;
      from = upto;
    }
  };
  if (cell_count == 0) return;
  if (regions.empty()) return spread(start, length);
  auto region = std::upper_bound(regions.begin(), regions.end(), start,
                                 [](uint64_t at, const Region& r) { return at < r.from; });
  if (region != regions.begin()) --region;
  for (; region != regions.end() && region->from < start + length; ++region) {
    const uint64_t from = std::max(start, region->from);
    const uint64_t end = std::min(start + length, region->from + region->length);
    if (from < end) spread(region->to + (from - region->from), end - from);
  }
}

void FreeRuns::Count(uint64_t length) {
  const size_t index = SizeClass(length);
  class_counts[index] += 1;
  class_bytes[index] += length;
  free_bytes += length;
  run_count += 1;
  largest_bytes = std::max(largest_bytes, length);
}

}  // namespace scan
