/**
 * Btrfs in bulk: inodes and extents of all trees of files below the mount, as the trees have them.
 *
 * Whether an extent is shared stands nowhere in them: it is when another file, in whatever tree of
 * the file system, uses it too. So all trees are read; where any extent is shared they are read
 * again, now knowing which ones.
 *
 * Source: linux/btrfs_tree.h; fs/btrfs/backref.c (btrfs_is_data_extent_shared) for the meaning.
 */

#include "scan-btrfs.h"

#include <sys/stat.h>

#include <unordered_set>

namespace scan {

namespace {

/** FILEID_BTRFS_WITHOUT_PARENT: inode, tree, generation. */
constexpr uint8_t kHandleType = 0x4d;
constexpr uint8_t kHandleBytes = 20;
/** A tree is split so that all threads are busy with one. */
constexpr uint64_t kPartsPerThread = 8;
constexpr uint64_t kInodesPerPart = 4096;
constexpr uint64_t kFilesPerCheck = 1024;
/** While others use the disk: about a leaf. */
constexpr uint64_t kFilesPerGentleCheck = 32;

struct Part {
  size_t root = 0;
  uint64_t from = 0;
  uint64_t upto = 0;
};

int64_t Milliseconds(const btrfs_timespec& time) {
  return static_cast<int64_t>(time.sec) * 1000 + time.nsec / 1'000'000;
}

enum class Pass { kUsersAndTally, kTally };

class Scanner {
 public:
  Scanner(const Options& options, int mount_fd, std::vector<BtrfsRoot> roots, ExtentUsers* users)
      : options_(options), mount_fd_(mount_fd), roots_(std::move(roots)), users_(users) {}

  void Split() {
    TreeSearch search(mount_fd_);
    for (size_t root = 0; root < roots_.size(); root += 1) {
      uint64_t from = BTRFS_FIRST_FREE_OBJECTID;
      uint64_t last = 0;
      // Without its end the tree is one part: whoever reads that meets the error, and counts it.
      if (LastInode(roots_[root].id, &search, &last) != 0) last = from;
      const uint64_t count = last < from ? 0 : last - from + 1;
      const uint64_t step =
          std::max(kInodesPerPart, count / (kPartsPerThread * options_.thread_count) + 1);
      for (; from <= last; from += step) {
        parts_.push_back({root, from, last - from < step ? UINT64_MAX : from + step - 1});
      }
    }
  }

  void Begin(Pass pass, Control* control) {
    pass_ = pass;
    control_ = control;
    next_part_ = 0;
  }

  void Run(Tally* tally);
  bool stopped() const { return stopped_; }

 private:
  int LastInode(uint64_t tree, TreeSearch* search, uint64_t* last);
  void ReadPart(const Part& part, TreeSearch* search, Tally* tally);

  const Options& options_;
  const int mount_fd_;
  const std::vector<BtrfsRoot> roots_;
  ExtentUsers* users_;
  std::vector<Part> parts_;
  Pass pass_ = Pass::kUsersAndTally;
  Control* control_ = nullptr;
  std::atomic<size_t> next_part_{0};
  std::atomic<bool> stopped_{false};
};

/** By halves: only the first item behind a key can be asked for. 0 or an errno. */
int Scanner::LastInode(uint64_t tree, TreeSearch* search, uint64_t* last) {
  uint64_t low = 0;
  uint64_t high = BTRFS_LAST_FREE_OBJECTID;
  const TreeKey upto{BTRFS_LAST_FREE_OBJECTID, UINT8_MAX, UINT64_MAX};
  while (low + 1 < high) {
    const uint64_t middle = low + (high - low) / 2;
    uint64_t found = 0;
    const int error_number = search->ForEach(
        tree, {middle, 0, 0}, upto,
        [&](const TreeItem& item) {
          found = item.key.objectid;
          return false;
        },
        1);
    if (error_number != 0) return error_number;
    if (found > 0) {
      low = std::max(found, middle);
    } else {
      high = middle;
    }
  }
  *last = low;
  return 0;
}

/** What one file is made of, while its items come by. */
class OpenFile {
 public:
  OpenFile(uint64_t tree, Pass pass, bool is_visible, ExtentUsers* users, Tally* tally)
      : tree_(tree),
        counts_(is_visible),
        marks_(users != nullptr && pass != Pass::kTally),
        users_(users),
        tally_(tally) {}

  void Inode(const TreeItem& item) {
    const auto inode = item.As<btrfs_inode_item>();
    is_file_ = S_ISREG(inode.mode);
    is_counted_ = counts_ && is_file_ && inode.nlink > 0;
    partial_.clear();
    if (counts_ && S_ISDIR(inode.mode) && inode.nlink > 0) tally_->Count(kDirectoryCount);
    if (!is_counted_) return;
    FileFacts facts;
    facts.size_bytes = inode.size;
    facts.mtime_ms = Milliseconds(inode.mtime);
    facts.atime_ms = Milliseconds(inode.atime);
    facts.link_count = inode.nlink;
    facts.handle.type = kHandleType;
    facts.handle.length = kHandleBytes;
    const auto generation = static_cast<uint32_t>(inode.generation);
    memcpy(facts.handle.bytes.data(), &item.key.objectid, 8);
    memcpy(facts.handle.bytes.data() + 8, &tree_, 8);
    memcpy(facts.handle.bytes.data() + 16, &generation, 4);
    tally_->Begin(facts);
  }

  void Extent(const TreeItem& item) {
    if (!is_file_) return;
    const auto extent = item.As<btrfs_file_extent_item>();
    if (extent.type == BTRFS_FILE_EXTENT_INLINE) {
      if (is_counted_) tally_->SetInline();
      return;
    }
    if (extent.disk_bytenr == 0) return;
    if (marks_) Mark(item.key.offset, extent);
    if (!is_counted_) return;
    const bool is_compressed = extent.compression != 0;
    uint32_t flags = is_compressed ? kCompressed : 0;
    if (extent.type == BTRFS_FILE_EXTENT_PREALLOC) flags |= kUnwritten;
    if (users_ != nullptr && users_->has_shared() && users_->IsShared(extent.disk_bytenr)) {
      flags |= kShared;
    }
    const uint64_t physical = extent.disk_bytenr + (is_compressed ? 0 : extent.offset);
    tally_->Add({item.key.offset, physical, extent.num_bytes, flags});
  }

  /** True when it was a file. */
  bool End() {
    const bool was_file = is_file_;
    if (is_counted_) tally_->End();
    is_file_ = is_counted_ = false;
    return was_file;
  }

 private:
  /**
   * Parts of an extent that lie in the file as they lie in the extent are one use of it: an
   * overwritten middle leaves two of them.
   */
  void Mark(uint64_t logical, const btrfs_file_extent_item& extent) {
    const bool is_whole = extent.offset == 0 && extent.num_bytes == extent.ram_bytes;
    if (!is_whole) {
      const uint64_t base = logical - extent.offset;
      const auto use = std::to_string(extent.disk_bytenr) + "@" + std::to_string(base);
      if (!partial_.insert(use).second) return;
    }
    users_->Use(extent.disk_bytenr);
  }

  const uint64_t tree_;
  const bool counts_;
  const bool marks_;
  ExtentUsers* users_;
  Tally* tally_;
  bool is_file_ = false;
  bool is_counted_ = false;
  std::unordered_set<std::string> partial_;
};

void Scanner::Run(Tally* tally) {
  TreeSearch search(mount_fd_);
  for (;;) {
    const size_t index = next_part_.fetch_add(1);
    if (control_->ShouldStop()) stopped_ = true;
    if (index >= parts_.size() || stopped_) return;
    const Part& part = parts_[index];
    const bool tells_users = pass_ == Pass::kUsersAndTally && users_ != nullptr;
    if (roots_[part.root].is_visible || tells_users) ReadPart(part, &search, tally);
  }
}

void Scanner::ReadPart(const Part& part, TreeSearch* search, Tally* tally) {
  const BtrfsRoot& root = roots_[part.root];
  OpenFile file(root.id, pass_, root.is_visible, users_, tally);
  uint64_t files = 0;
  const uint64_t last = std::min<uint64_t>(part.upto, BTRFS_LAST_FREE_OBJECTID);
  const TreeKey upto{last, UINT8_MAX, UINT64_MAX};
  const int error_number =
      search->ForEach(root.id, {part.from, 0, 0}, upto, [&](const TreeItem& item) {
        if (item.key.type == BTRFS_EXTENT_DATA_KEY) {
          file.Extent(item);
        } else if (item.key.type == BTRFS_INODE_ITEM_KEY) {
          if (file.End() &&
              ++files >= (control_->GivesWay() ? kFilesPerGentleCheck : kFilesPerCheck)) {
            control_->AddFiles(files);
            files = 0;
            if (control_->ShouldStop()) stopped_ = true;
          }
          file.Inode(item);
        }
        return !stopped_;
      });
  if (file.End()) files += 1;
  control_->AddFiles(files);
  // A tree that was deleted since has none of its files left.
  if (error_number != 0 && error_number != ENOENT) tally->FailPart(error_number);
}

}  // namespace

void ScanBtrfs(const Options& options, Report* report) {
  const Fd mount = OpenMount(options, BTRFS_FIRST_FREE_OBJECTID, report);
  if (report->error_number != 0) return;
  report->failed_call = "read the trees of";
  BtrfsSpace space;
  std::vector<BtrfsRoot> roots;
  btrfs_ioctl_fs_info_args info{};
  report->error_number = ReadBtrfsSpace(mount.get(), &space);
  if (report->error_number == 0) report->error_number = ReadBtrfsRoots(mount.get(), &roots);
  if (report->error_number == 0 && ioctl(mount.get(), BTRFS_IOC_FS_INFO, &info) != 0) {
    report->error_number = errno;
  }
  if (report->error_number != 0) return;

  ExtentUsers users;
  report->shared_known = users.Prepare(space, info.sectorsize);
  Scanner scanner(options, mount.get(), std::move(roots), report->shared_known ? &users : nullptr);
  scanner.Split();
  Control control(options.control);
  scanner.Begin(Pass::kUsersAndTally, &control);
  RunTallies(options, report, [&](Tally* tally) { scanner.Run(tally); });
  if (users.has_shared() && !scanner.stopped()) {
    Control again(options.control);
    scanner.Begin(Pass::kTally, &again);
    RunTallies(options, report, [&](Tally* tally) { scanner.Run(tally); });
  }
  report->stopped = scanner.stopped();
}

}  // namespace scan
