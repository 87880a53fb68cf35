/**
 * What the parts of the analysis of a mounted file system share: what a file is, and the sums.
 *
 * A source (inode tables, bulkstat, tree search, walk) names a file and feeds its mappings in the
 * order of the file to a Tally. All rules of counting live in the Tally, so that every source
 * counts alike. One Tally per thread, merged at the end: nothing here locks.
 */

#ifndef DYNAMICFS_NATIVE_SCAN_H_
#define DYNAMICFS_NATIVE_SCAN_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace scan {

constexpr uint32_t kUnwritten = 1;
constexpr uint32_t kShared = 2;
constexpr uint32_t kCompressed = 4;
/** Only of files. */
constexpr uint32_t kSparse = 8;
constexpr uint32_t kHardLinked = 16;

/** For `physical`: beyond every device. */
constexpr uint64_t kNoPlace = UINT64_MAX / 2;

/** A record of a file system: bytes, `length` of them as long as before compression. */
struct Mapping {
  uint64_t logical = 0;
  uint64_t physical = 0;
  uint64_t length = 0;
  uint32_t flags = 0;
};

/** As open_by_handle_at(2) takes it; `length` 0 where there is none. */
struct Handle {
  uint8_t type = 0;
  uint8_t length = 0;
  std::array<uint8_t, 30> bytes{};
};

struct FileFacts {
  Handle handle;
  uint64_t size_bytes = 0;
  int64_t mtime_ms = 0;
  int64_t atime_ms = 0;
  uint32_t link_count = 1;
  bool is_inline = false;
};

struct Options {
  std::string mount_path;
  std::string fs_type;
  std::string subtree;
  std::string device_path;
  uint32_t thread_count = 1;
  uint32_t candidate_limit = 0;
  uint32_t name_count = 0;
  uint32_t map_cell_count = 0;
  uint64_t target_fragment_bytes = 0;
  int64_t now_ms = 0;
  /** Memory of the caller; null for neither. */
  int32_t* control = nullptr;
};

enum Figure {
  kFileCount,
  kFragmentedCount,
  kFragmentCount,
  kMappingCount,
  kSizeBytes,
  kAllocatedBytes,
  kContiguousBytes,
  kSharedCount,
  kSharedBytes,
  kCompressedCount,
  kCompressedBytes,
  kUnwrittenCount,
  kUnwrittenBytes,
  kInlineCount,
  kSparseCount,
  kEmptyCount,
  kHardLinkedCount,
  kDirectoryCount,
  kFailedCount,
  kVanishedCount,
  kOtherMountCount,
  /** Four each of hot, warm, cold: files, fragmented files, fragments, bytes. */
  kTiers,
  kFigureCount = kTiers + 12,
};

constexpr size_t kClassCount = 64;

struct Candidate {
  Handle handle;
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;
  uint64_t fragment_count = 0;
  uint64_t ideal_count = 0;
  int64_t mtime_ms = 0;
  int64_t access_ms = 0;
  uint32_t tier = 0;
  uint32_t flags = 0;
  /** Relative to the mount; only the walk knows it while it counts. */
  std::string path;
};

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

/** log2 classes: [0] counts 1, [1] counts 2, [2] counts 3 and 4, and so on. */
size_t CountClass(uint64_t count);
size_t SizeClass(uint64_t bytes);

class Tally {
 public:
  Tally(const Options& options, const MapPlan& map);

  /** Between it and End, Add every mapping in the order of the file. Without End nothing counts. */
  void Begin(const FileFacts& facts);
  void Add(const Mapping& mapping);
  /** The only mapping of the file that was begun; the map does not show where it lies. */
  void AddUnplaced(uint64_t length) {
    Add({0, kNoPlace, length, 0});
  }
  /** The file that was begun has its data in the inode. */
  void SetInline() { facts_.is_inline = true; }
  /** `fill` is asked for what only a candidate needs: the path and the handle of a walk. */
  void End(const std::function<void(Candidate*)>& fill = nullptr);
  void Count(Figure figure, uint64_t by = 1) { figures[figure] += by; }
  void Fail(int error_number);
  void Merge(Tally* other);
  /** The most gain first. */
  void SortCandidates();

  std::array<uint64_t, kFigureCount> figures{};
  std::array<uint64_t, kClassCount> count_classes{};
  std::array<uint64_t, kClassCount> size_class_counts{};
  std::array<uint64_t, kClassCount> size_class_bytes{};
  std::vector<uint64_t> fragmented_cells;
  std::vector<uint64_t> used_cells;
  std::vector<Candidate> candidates;
  int first_errno = 0;
  bool truncated = false;

 private:
  void CloseMapping();
  void CloseFragment();
  void CountTier(bool fragmented);
  void KeepCandidate(const std::function<void(Candidate*)>& fill);
  void DrawPlaces(bool fragmented);

  const Options& options_;
  const MapPlan& map_;
  FileFacts facts_;
  Mapping mapping_;
  bool has_mapping_ = false;
  uint64_t fragment_bytes_ = 0;
  uint64_t fragments_ = 0;
  uint64_t ranges_ = 0;
  uint64_t mappings_ = 0;
  uint64_t allocated_ = 0;
  uint64_t shared_ = 0;
  uint64_t compressed_ = 0;
  uint64_t unwritten_ = 0;
  bool has_hole_ = false;
  /** Size classes of the file; a bit of the first for each that is in use. */
  uint64_t own_classes_ = 0;
  std::array<uint64_t, kClassCount> own_counts_{};
  std::array<uint64_t, kClassCount> own_bytes_{};
  /** Mappings of the file, for the map; drawn early when a file has too many to be kept. */
  std::vector<std::pair<uint64_t, uint64_t>> places_;
};

/** Progress and the stop flag, for all threads of a scan. */
class Control {
 public:
  explicit Control(int32_t* words) : words_(words) {}
  bool ShouldStop() const;
  void AddFiles(uint64_t count);

 private:
  int32_t* words_;
  std::atomic<uint64_t> files_{0};
};

struct Report {
  /** 0, or why this way of scanning is not possible here; then the rest means nothing. */
  int error_number = 0;
  /** The call that failed, in words. */
  const char* failed_call = "";
  bool stopped = false;
  bool shared_known = true;
  MapPlan map;
  std::unique_ptr<Tally> tally;
};

/** An open descriptor, closed with the object. */
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd();
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

/** Runs `body` in that many threads, this one among them; 0 or the errno of a lack of memory. */
int RunThreads(uint32_t count, const std::function<void(uint32_t index)>& body);

Fd OpenByHandle(int mount_fd, const Handle& handle);
/** Feeds the mappings of an open file, for which Begin was called, to the tally. 0 or an errno. */
int ReadFiemap(int fd, Tally* tally);

/** Each fills `report->tally` with the sums of all threads. */
void ScanExt4(const Options& options, Report* report);
void ScanXfs(const Options& options, Report* report);
void ScanBtrfs(const Options& options, Report* report);
void ScanWalk(const Options& options, Report* report);
/** Looks up the paths of the first `name_count` candidates. */
void NameCandidates(const Options& options, std::vector<Candidate>* candidates);
/** Opens the mount; checks that its root has that inode number when it is not 0. */
Fd OpenMount(const Options& options, uint64_t root_inode, Report* report);
/** Gives every thread a tally and the report their sum. */
void RunTallies(const Options& options, Report* report,
                const std::function<void(Tally* tally)>& body);
/** Begin, FIEMAP by handle and End, where the tables alone do not tell. */
void ScanByHandle(int mount_fd, const FileFacts& facts, Tally* tally);

struct FreeSpace {
  int error_number = 0;
  const char* failed_call = "";
  uint32_t source = 0;
  uint64_t free_bytes = 0;
  uint64_t largest_bytes = 0;
  uint64_t run_count = 0;
  uint64_t unallocated_bytes = 0;
  std::array<uint64_t, kClassCount> class_counts{};
  std::array<uint64_t, kClassCount> class_bytes{};
  MapPlan map;
  std::vector<uint64_t> cells;

  void AddRun(uint64_t start, uint64_t length);
};

void FreeSpaceByFsmap(const Options& options, FreeSpace* reply);
void FreeSpaceOfBtrfs(const Options& options, FreeSpace* reply);

/** What the cells of the map divide; none of it where that cannot be told. */
void PlanMap(const Options& options, MapPlan* map);
/** Btrfs: its devices one behind the other, or its own addresses where chunks are striped. */
void PlanBtrfsMap(const Options& options, MapPlan* map);

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_H_
