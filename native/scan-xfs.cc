/**
 * XFS in bulk: the inodes of an allocation group by the thousand, then FIEMAP by handle.
 *
 * Bulkstat tells how many records a file has. A file with one, as long as itself, is contiguous,
 * and needs no more where it shares nothing. All others are opened by handle, which follows no
 * path: only their map says where they lie, and what is shared, unwritten or a hole.
 *
 * Source: ioctl_xfs_bulkstat(2), ioctl_xfs_fsgeometry(2); fs/xfs/libxfs/xfs_fs.h, which has no
 * package that every machine with XFS has.
 */

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "scan-xfs.h"

namespace scan {

namespace {

struct BulkHeader {
  uint64_t ino;
  uint32_t flags;
  uint32_t icount;
  uint32_t ocount;
  uint32_t agno;
  uint64_t reserved[5];
};

struct BulkInode {
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;
  uint64_t xflags;
  int64_t atime;
  int64_t mtime;
  int64_t ctime;
  int64_t btime;
  uint32_t generation;
  uint32_t uid;
  uint32_t gid;
  uint32_t project_id;
  uint32_t atime_nsec;
  uint32_t mtime_nsec;
  uint32_t ctime_nsec;
  uint32_t btime_nsec;
  uint32_t block_size;
  uint32_t rdev;
  uint32_t cow_extent_size;
  uint32_t extent_size;
  uint32_t link_count;
  uint32_t extents;
  uint32_t attribute_extents;
  uint16_t version;
  uint16_t fork_offset;
  uint16_t sick;
  uint16_t checked;
  uint16_t mode;
  uint16_t pad2;
  uint64_t extents64;
  uint64_t pad[6];
};
static_assert(sizeof(BulkInode) == 192, "as the kernel has it");

constexpr unsigned long kBulkstat = _IOR('X', 127, BulkHeader);
constexpr unsigned long kGeometry = _IOR('X', 126, XfsGeometry);
constexpr uint32_t kOneGroup = 1 << 0;
constexpr uint32_t kSpecial = 1 << 1;
constexpr uint64_t kSpecialRoot = 1;
constexpr uint32_t kInodesPerCall = 1024;
/** While others use the disk: one chunk, which is what XFS reads at a time. */
constexpr uint32_t kInodesPerGentleCall = 64;
/** Real-time, preallocated, extent size hints: may leave unwritten blocks, or lie elsewhere. */
constexpr uint64_t kSpecialFlags = 0x1 | 0x2 | 0x800 | 0x10000;
/** FILEID_INO32_GEN with XFS_FILEID_TYPE_64FLAG: inode 64 bits, generation 32. */
constexpr uint8_t kHandleType = 0x81;
constexpr uint8_t kHandleBytes = 12;

struct BulkRequest {
  BulkHeader header{};
  BulkInode inodes[kInodesPerCall];
};

int64_t Milliseconds(int64_t seconds, uint32_t nanoseconds) {
  return seconds * 1000 + nanoseconds / 1'000'000;
}

FileFacts FactsOf(const BulkInode& inode) {
  FileFacts facts;
  facts.size_bytes = inode.size;
  facts.mtime_ms = Milliseconds(inode.mtime, inode.mtime_nsec);
  facts.atime_ms = Milliseconds(inode.atime, inode.atime_nsec);
  facts.link_count = inode.link_count;
  facts.handle.type = kHandleType;
  facts.handle.length = kHandleBytes;
  memcpy(facts.handle.bytes.data(), &inode.ino, 8);
  memcpy(facts.handle.bytes.data() + 8, &inode.generation, 4);
  return facts;
}

class Scanner {
 public:
  Scanner(const Options& options, int mount_fd, const XfsGeometry& geometry)
      : mount_fd_(mount_fd),
        geometry_(geometry),
        control_(options.control) {
    is_sharing_known_ =
        XfsSharesNothing(geometry, options.device_path, mount_fd) ||
        XfsSharingFiles(geometry, mount_fd, options.thread_count, &sharing_);
  }

  bool is_sharing_known() const { return is_sharing_known_; }

  void Run(Tally* tally) {
    const auto request = std::make_unique<BulkRequest>();
    for (;;) {
      const uint32_t group = next_group_.fetch_add(1);
      if (group >= geometry_.group_count) return;
      request->header = {};
      request->header.flags = kOneGroup;
      request->header.agno = group;
      while (NextInodes(request.get(), tally)) {
        const uint32_t count = request->header.ocount;
        uint64_t files = 0;
        for (uint32_t i = 0; i < count; i += 1) {
          const BulkInode& inode = request->inodes[i];
          if (inode.link_count == 0) continue;
          if (S_ISDIR(inode.mode)) tally->Count(kDirectoryCount);
          if (!S_ISREG(inode.mode)) continue;
          ScanInode(inode, tally);
          files += 1;
        }
        control_.AddFiles(files);
      }
      if (stopped_) return;
    }
  }

  bool stopped() const { return stopped_; }

 private:
  void ScanInode(const BulkInode& inode, Tally* tally) {
    const FileFacts facts = FactsOf(inode);
    if (inode.extents == 0) {
      tally->Begin(facts);
      tally->End();
    } else if (IsPlain(inode)) {
      tally->CountWhole(facts, {0, kNoPlace, inode.blocks * geometry_.block_bytes, 0});
    } else {
      ScanByHandle(mount_fd_, facts, tally);
    }
  }

  /** One record that is as long as the file is all of it: no hole, nothing behind the end. */
  bool IsPlain(const BulkInode& inode) const {
    const uint64_t blocks = (inode.size + geometry_.block_bytes - 1) / geometry_.block_bytes;
    return is_sharing_known_ && inode.extents == 1 && inode.blocks == blocks &&
           (inode.xflags & kSpecialFlags) == 0 &&
           !std::binary_search(sharing_.begin(), sharing_.end(), inode.ino);
  }

  bool NextInodes(BulkRequest* request, Tally* tally) {
    if (control_.ShouldStop()) stopped_ = true;
    if (stopped_) return false;
    request->header.icount = control_.GivesWay() ? kInodesPerGentleCall : kInodesPerCall;
    while (ioctl(mount_fd_, kBulkstat, request) != 0) {
      if (errno == EINTR) continue;
      tally->FailPart(errno);
      return false;
    }
    return request->header.ocount > 0;
  }

  const int mount_fd_;
  const XfsGeometry& geometry_;
  bool is_sharing_known_ = false;
  /** Inodes that share blocks, sorted. */
  std::vector<uint64_t> sharing_;
  Control control_;
  std::atomic<uint32_t> next_group_{0};
  std::atomic<bool> stopped_{false};
};

int RootInode(int mount_fd, uint64_t* root) {
  const auto request = std::make_unique<BulkRequest>();
  request->header.flags = kSpecial;
  request->header.ino = kSpecialRoot;
  request->header.icount = 1;
  if (ioctl(mount_fd, kBulkstat, request.get()) != 0) return errno;
  *root = request->header.ocount == 1 ? request->inodes[0].ino : 0;
  return 0;
}

}  // namespace

void ScanXfs(const Options& options, Report* report) {
  uint64_t root = 0;
  XfsGeometry geometry{};
  {
    const Fd mount = OpenMount(options, 0, report);
    if (report->error_number != 0) return;
    report->error_number = RootInode(mount.get(), &root);
    report->failed_call = "ask for the inodes of";
    if (report->error_number != 0) return;
    if (ioctl(mount.get(), kGeometry, &geometry) != 0) report->error_number = errno;
    if (report->error_number != 0) return;
  }
  const Fd mount = OpenMount(options, root, report);
  if (report->error_number != 0) return;
  Scanner scanner(options, mount.get(), geometry);
  RunTallies(options, report, [&](Tally* tally) { scanner.Run(tally); });
  report->stopped = scanner.stopped();
  if (!scanner.is_sharing_known()) {
    report->slow_reason = "files may share blocks, and without rmapbt only each file tells";
  }
}

}  // namespace scan
