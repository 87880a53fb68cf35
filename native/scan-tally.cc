/** The rules of counting: mappings, fragments, fragmented files; histograms; candidates. */

#include "scan.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace scan {

namespace {

constexpr int64_t kDayMs = 24 * 60 * 60 * 1000;
/** Read or written within: hot below the first, warm below the second. */
constexpr int64_t kHotMs = kDayMs;
constexpr int64_t kWarmMs = 30 * kDayMs;

/** Beyond this, a file counts as fragmented on the map before its end is known. */
constexpr size_t kPlacesMax = 1 << 16;

uint32_t TierOf(int64_t idle_ms) { return idle_ms < kHotMs ? 0 : idle_ms < kWarmMs ? 1 : 2; }

uint64_t Gain(const Candidate& file) { return file.fragment_count - file.ideal_count; }

/** Which one to defragment first. The handle settles ties, so that all sources agree. */
bool IsBetter(const Candidate& a, const Candidate& b) {
  if (Gain(a) != Gain(b)) return Gain(a) > Gain(b);
  if (a.allocated_bytes != b.allocated_bytes) return a.allocated_bytes < b.allocated_bytes;
  const int order = memcmp(a.handle.bytes.data(), b.handle.bytes.data(), a.handle.bytes.size());
  return order != 0 ? order < 0 : a.path < b.path;
}

/**
 * Whether a mapping goes on where the one before ended on the disk.
 *
 * A compressed one is longer in the file than on the disk, by how much FIEMAP does not say. The
 * next one then begins at most the file's length behind; the same bound serves sources that know better.
 */
bool Touches(const Mapping& before, const Mapping& next) {
  const uint64_t end = before.physical + before.length;
  if (next.physical == end) return true;
  const bool compressed = (before.flags & next.flags & kCompressed) != 0;
  return compressed && next.physical >= before.physical && next.physical < end;
}

}  // namespace

Tally::Tally(const Options& options, const MapPlan& map, const DevicePlan& devices)
    : fragmented_cells(map.cell_count),
      used_cells(map.cell_count),
      device_figures(devices.devices.size()),
      options_(options),
      map_(map),
      devices_(devices),
      own_devices_(devices.devices.size()) {}

void Tally::Begin(const FileFacts& facts) {
  facts_ = facts;
  mapping_ = Mapping{};
  has_mapping_ = has_hole_ = false;
  for (; own_classes_ != 0; own_classes_ &= own_classes_ - 1) {
    const auto index = static_cast<size_t>(__builtin_ctzll(own_classes_));
    own_counts_[index] = own_bytes_[index] = 0;
  }
  fragment_bytes_ = fragments_ = ranges_ = mappings_ = 0;
  allocated_ = shared_ = compressed_ = unwritten_ = 0;
  places_.clear();
  for (OwnDevice& own : own_devices_) own = {};
}

void Tally::Add(const Mapping& mapping) {
  if (mapping.length == 0) return;
  if (!has_mapping_) {
    has_hole_ = mapping.logical > 0 && facts_.size_bytes > 0;
    ranges_ = fragments_ = 1;
  } else {
    const uint64_t end = mapping_.logical + mapping_.length;
    const bool follows = mapping.logical == end;
    const bool touches = follows && Touches(mapping_, mapping);
    if (touches && mapping.flags == mapping_.flags &&
        mapping.physical == mapping_.physical + mapping_.length) {
      mapping_.length += mapping.length;
      return;
    }
    CloseMapping();
    if (!follows && end < facts_.size_bytes) has_hole_ = true;
    if (!follows) ranges_ += 1;
    if (!touches) {
      CloseFragment();
      fragments_ += 1;
    }
  }
  mapping_ = mapping;
  has_mapping_ = true;
}

void Tally::CloseMapping() {
  const uint64_t length = mapping_.length;
  mappings_ += 1;
  allocated_ += length;
  fragment_bytes_ += length;
  if (mapping_.flags & kShared) shared_ += length;
  if (mapping_.flags & kCompressed) compressed_ += length;
  if (mapping_.flags & kUnwritten) unwritten_ += length;
  if (!devices_.empty()) {
    devices_.Spread(mapping_.physical, length, [&](uint32_t device, uint64_t bytes) {
      own_devices_[device].bytes += bytes;
      own_devices_[device].has_fragment = true;
    });
  }
  if (map_.cell_count == 0) return;
  places_.emplace_back(mapping_.physical, length);
  if (places_.size() >= kPlacesMax) DrawPlaces(true);
}

void Tally::CloseFragment() {
  const size_t index = SizeClass(fragment_bytes_);
  own_classes_ |= uint64_t{1} << index;
  own_counts_[index] += 1;
  own_bytes_[index] += fragment_bytes_;
  fragment_bytes_ = 0;
  for (OwnDevice& own : own_devices_) {
    own.fragments += own.has_fragment;
    own.has_fragment = false;
  }
}

void Tally::CountDevices(bool fragmented) {
  for (size_t i = 0; i < own_devices_.size(); i += 1) {
    const OwnDevice& own = own_devices_[i];
    if (own.bytes == 0) continue;
    auto& of_device = device_figures[i];
    of_device[kDeviceFiles] += 1;
    of_device[kDeviceFragmented] += fragmented;
    of_device[kDeviceFragments] += own.fragments;
    of_device[kDeviceBytes] += own.bytes;
    if (fragments_ <= ranges_) of_device[kDeviceContiguousBytes] += own.bytes;
  }
}

void Tally::DrawPlaces(bool fragmented) {
  for (const auto& [start, length] : places_) {
    map_.Add(&used_cells, start, length);
    if (fragmented) map_.Add(&fragmented_cells, start, length);
  }
  places_.clear();
}

void Tally::CountWhole(const FileFacts& facts, const Mapping& mapping) {
  const uint64_t length = mapping.length;
  Count(kFileCount);
  Count(kFragmentCount);
  Count(kMappingCount);
  Count(kSizeBytes, facts.size_bytes);
  Count(kAllocatedBytes, length);
  Count(kContiguousBytes, length);
  Count(kHardLinkedCount, facts.link_count > 1);
  count_classes[CountClass(1)] += 1;
  size_class_counts[SizeClass(length)] += 1;
  size_class_bytes[SizeClass(length)] += length;
  uint64_t* figures_of_tier = FiguresOfTier(facts);
  figures_of_tier[0] += 1;
  figures_of_tier[2] += 1;
  figures_of_tier[3] += length;
  map_.Add(&used_cells, mapping.physical, length);
}

void Tally::Finish(Filler fill) {
  const uint64_t size = facts_.size_bytes;
  if (has_mapping_) {
    if (mapping_.logical + mapping_.length < size) has_hole_ = true;
    CloseMapping();
    CloseFragment();
    count_classes[CountClass(fragments_)] += 1;
  } else if (!facts_.is_inline && size > 0) {
    has_hole_ = true;
  }

  Count(kFileCount);
  Count(kFragmentCount, fragments_);
  Count(kMappingCount, mappings_);
  Count(kSizeBytes, size);
  Count(kAllocatedBytes, allocated_);
  Count(kSharedCount, shared_ > 0);
  Count(kSharedBytes, shared_);
  Count(kCompressedCount, compressed_ > 0);
  Count(kCompressedBytes, compressed_);
  Count(kUnwrittenCount, unwritten_ > 0);
  Count(kUnwrittenBytes, unwritten_);
  Count(kInlineCount, facts_.is_inline && size > 0);
  Count(kEmptyCount, size == 0 && !has_mapping_);
  Count(kSparseCount, has_hole_);
  Count(kHardLinkedCount, facts_.link_count > 1);

  if (fragments_ <= ranges_) Count(kContiguousBytes, allocated_);
  const bool fragmented =
      fragments_ > ranges_ && allocated_ / fragments_ < options_.target_fragment_bytes;
  CountTier(fragmented);
  CountDevices(fragmented);
  DrawPlaces(fragmented);
  for (uint64_t left = own_classes_; left != 0; left &= left - 1) {
    const auto index = static_cast<size_t>(__builtin_ctzll(left));
    size_class_counts[index] += own_counts_[index];
    size_class_bytes[index] += own_bytes_[index];
  }
  if (!fragmented) return;
  Count(kFragmentedCount);
  KeepCandidate(fill);
}

uint64_t* Tally::FiguresOfTier(const FileFacts& facts) {
  const size_t tier = TierOf(options_.now_ms - std::max(facts.mtime_ms, facts.atime_ms));
  return &figures[kTiers + 4 * tier];
}

void Tally::CountTier(bool fragmented) {
  uint64_t* figures_of_tier = FiguresOfTier(facts_);
  figures_of_tier[0] += 1;
  figures_of_tier[1] += fragmented;
  figures_of_tier[2] += fragments_;
  figures_of_tier[3] += allocated_;
}

/** A heap with the least of them on top, which the next better one replaces. */
void Tally::KeepCandidate(Filler fill) {
  if (options_.candidate_limit == 0) {
    truncated = true;
    return;
  }
  const bool full = candidates.size() >= options_.candidate_limit;
  truncated = truncated || full;
  if (full && fragments_ - ranges_ < Gain(candidates.front())) return;

  Candidate file;
  file.handle = facts_.handle;
  file.size_bytes = facts_.size_bytes;
  file.allocated_bytes = allocated_;
  file.fragment_count = fragments_;
  file.ideal_count = ranges_;
  file.mtime_ms = facts_.mtime_ms;
  file.access_ms = std::max(facts_.mtime_ms, facts_.atime_ms);
  file.tier = TierOf(options_.now_ms - file.access_ms);
  file.flags = (shared_ ? kShared : 0) | (compressed_ ? kCompressed : 0) |
               (unwritten_ ? kUnwritten : 0) | (has_hole_ ? kSparse : 0) |
               (facts_.link_count > 1 ? kHardLinked : 0);
  if (fill.call != nullptr) fill.call(fill.object, &file);
  if (full) {
    if (!IsBetter(file, candidates.front())) return;
    std::pop_heap(candidates.begin(), candidates.end(), IsBetter);
    candidates.back() = std::move(file);
  } else {
    candidates.push_back(std::move(file));
  }
  std::push_heap(candidates.begin(), candidates.end(), IsBetter);
}

void Tally::Fail(int error_number) {
  Count(kFailedCount);
  KeepErrno(error_number);
}

void Tally::FailPart(int error_number) {
  Count(kMissedPartCount);
  Fail(error_number);
}

/** The first; but what is wrong with the disk says more than what this user may not read. */
void Tally::KeepErrno(int error_number) {
  const bool is_refusal = first_errno == EACCES || first_errno == EPERM;
  if (error_number != 0 && (first_errno == 0 || is_refusal)) first_errno = error_number;
}

void Tally::Merge(Tally* other) {
  for (size_t i = 0; i < figures.size(); i += 1) figures[i] += other->figures[i];
  for (size_t i = 0; i < kClassCount; i += 1) {
    count_classes[i] += other->count_classes[i];
    size_class_counts[i] += other->size_class_counts[i];
    size_class_bytes[i] += other->size_class_bytes[i];
  }
  for (size_t i = 0; i < used_cells.size(); i += 1) {
    used_cells[i] += other->used_cells[i];
    fragmented_cells[i] += other->fragmented_cells[i];
  }
  for (size_t i = 0; i < device_figures.size(); i += 1) {
    for (size_t j = 0; j < kDeviceFigureCount; j += 1) {
      device_figures[i][j] += other->device_figures[i][j];
    }
  }
  KeepErrno(other->first_errno);
  truncated = truncated || other->truncated;
  for (Candidate& file : other->candidates) candidates.push_back(std::move(file));
  other->candidates.clear();
}

void Tally::SortCandidates() {
  std::sort(candidates.begin(), candidates.end(), IsBetter);
  if (candidates.size() <= options_.candidate_limit) return;
  truncated = true;
  candidates.resize(options_.candidate_limit);
}

}  // namespace scan
