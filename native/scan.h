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

#include "scan-space.h"

namespace scan {

constexpr uint32_t kUnwritten = 1;
constexpr uint32_t kShared = 2;
constexpr uint32_t kCompressed = 4;
/** Only of files. */
constexpr uint32_t kSparse = 8;
constexpr uint32_t kHardLinked = 16;

/** For `physical`, where it is not known: beyond every device, so that no map shows it. */
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
  /** Directories and pieces of tables, which hold nobody knows how many files. */
  kMissedPartCount,
  /** Four each of hot, warm, cold: files, fragmented files, fragments, bytes. */
  kTiers,
  kFigureCount = kTiers + 12,
};

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

/** Of each device of a Btrfs of several: files with data on it, fragments that touch it. */
enum DeviceFigure {
  kDeviceFiles,
  kDeviceFragmented,
  kDeviceFragments,
  kDeviceBytes,
  kDeviceContiguousBytes,
  kDeviceFigureCount,
};

class Tally {
 public:
  Tally(const Options& options, const MapPlan& map, const DevicePlan& devices);

  /** Between it and End, Add every mapping in the order of the file. Without End nothing counts. */
  void Begin(const FileFacts& facts);
  void Add(const Mapping& mapping);
  /** The file that was begun has its data in the inode. */
  void SetInline() { facts_.is_inline = true; }
  void End() { Finish({}); }
  /** `fill` is asked for what only a candidate needs: the path and the handle of a walk. */
  template <typename Fill>
  void End(const Fill& fill) {
    Finish({&fill, [](const void* object, Candidate* file) {
              (*static_cast<const Fill*>(object))(file);
            }});
  }
  /**
   * Begin, Add and End in one, for what most files are: a single mapping that is written, not
   * shared, not compressed, and covers the file from its start to its end.
   */
  void CountWhole(const FileFacts& facts, const Mapping& mapping);
  void Count(Figure figure, uint64_t by = 1) { figures[figure] += by; }
  /** A file could not be looked at. */
  void Fail(int error_number);
  /** A directory, or a piece of a table: with it goes all that it would have told of. */
  void FailPart(int error_number);
  void Merge(Tally* other);
  /** The most gain first. */
  void SortCandidates();

  std::array<uint64_t, kFigureCount> figures{};
  std::array<uint64_t, kClassCount> count_classes{};
  std::array<uint64_t, kClassCount> size_class_counts{};
  std::array<uint64_t, kClassCount> size_class_bytes{};
  std::vector<uint64_t> fragmented_cells;
  std::vector<uint64_t> used_cells;
  std::vector<std::array<uint64_t, kDeviceFigureCount>> device_figures;
  std::vector<Candidate> candidates;
  int first_errno = 0;
  bool truncated = false;

 private:
  /** A reference to a callable: std::function would take memory for each file. */
  struct Filler {
    const void* object = nullptr;
    void (*call)(const void* object, Candidate* file) = nullptr;
  };

  void Finish(Filler fill);
  void KeepErrno(int error_number);
  void CloseMapping();
  void CloseFragment();
  uint64_t* FiguresOfTier(const FileFacts& facts);
  void CountTier(bool fragmented);
  void CountDevices(bool fragmented);
  void KeepCandidate(Filler fill);
  void DrawPlaces(bool fragmented);

  const Options& options_;
  const MapPlan& map_;
  const DevicePlan& devices_;
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
  /** What of the file lies on each device. */
  struct OwnDevice {
    uint64_t bytes = 0;
    uint64_t fragments = 0;
    bool has_fragment = false;
  };
  std::vector<OwnDevice> own_devices_;
};

/** Progress and the stop flag, for all threads of a scan. */
class Control {
 public:
  explicit Control(int32_t* words);
  /** Asked between two pieces of work; rests first for as long as the governor wants. */
  bool ShouldStop() const;
  /** Whether others use the devices: pieces are small then, and nothing is asked for ahead. */
  bool GivesWay() const;
  void AddFiles(uint64_t count);

 private:
  void Breathe() const;

  int32_t* words_;
  /** Tells one scan from the one that a thread worked on before. */
  uint64_t number_;
  std::atomic<uint64_t> files_{0};
};

struct Report {
  /** 0, or why this way of scanning is not possible here; then the rest means nothing. */
  int error_number = 0;
  /** The call that failed, in words. */
  const char* failed_call = "";
  bool stopped = false;
  bool shared_known = true;
  /** Why every file had to be opened although the tables were read; empty when not. */
  const char* slow_reason = "";
  MapPlan map;
  DevicePlan devices;
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

struct FreeSpace : FreeRuns {
  int error_number = 0;
  const char* failed_call = "";
  uint32_t source = 0;
  uint64_t unallocated_bytes = 0;
  MapPlan map;
  std::vector<uint64_t> cells;
  DevicePlan devices;
  std::vector<FreeRuns> device_runs;

  /** In the addresses of the file system. */
  void AddRun(uint64_t start, uint64_t length);
  /** Of a device, where no chunk is; `start` in the addresses of the map. */
  void AddGap(size_t device, uint64_t start, uint64_t length);
};

void FreeSpaceByFsmap(const Options& options, FreeSpace* reply);
void FreeSpaceOfBtrfs(const Options& options, FreeSpace* reply);

/** What the cells of the map divide; none of it where that cannot be told. */
void PlanMap(const Options& options, MapPlan* map);
/** Only of a Btrfs of several devices, for whoever may read its chunks. */
void PlanDevices(const Options& options, DevicePlan* plan);
/** Btrfs: its devices one behind the other, or its own addresses where chunks are striped. */
void PlanBtrfsMap(const Options& options, MapPlan* map);

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_H_
