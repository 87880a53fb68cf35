/**
 * ext4 in bulk: its inode tables, read from the block device.
 *
 * The kernel keeps inode tables and extent trees in the page cache of the block device, so what is
 * read there is what a running file system knows, once syncfs has given delayed data its place. An
 * inode whose blocks make no sense was changed meanwhile: FIEMAP by handle tells about it.
 */

#include "scan-ext4.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace scan {

namespace {

constexpr uint64_t kRootInode = 2;
/** FILEID_INO32_GEN: number and generation of the inode, 32 bits each. */
constexpr uint8_t kHandleType = 0x01;
constexpr uint8_t kHandleBytes = 8;
/** Of an inode table, read at a time. */
constexpr uint64_t kReadBytes = 256 * 1024;
/** While others use the disk, who would wait for all that a piece asks for at once. */
constexpr uint64_t kGentleReadBytes = 32 * 1024;
/** How many groups' tables are asked of the disk before they are needed. */
constexpr uint32_t kGroupsAhead = 16;

/** Seconds with two bits more above them, and nanoseconds, where the inode is large enough. */
int64_t TimeMs(const uint8_t* inode, size_t at, size_t extra_at, size_t extra_bytes) {
  const auto low = static_cast<int32_t>(Read32(inode + at));
  int64_t seconds = low;
  int64_t nanoseconds = 0;
  if (extra_at + 4 <= 128 + extra_bytes) {
    const uint32_t extra = Read32(inode + extra_at);
    seconds += static_cast<int64_t>(extra & 3) << 32;
    nanoseconds = extra >> 2;
  }
  return seconds * 1000 + nanoseconds / 1'000'000;
}

FileFacts FactsOf(const uint8_t* inode, uint32_t number, uint32_t inode_bytes) {
  const size_t extra_bytes =
      inode_bytes > 130 ? std::min<size_t>(Read16(inode + 0x80), inode_bytes - 128) : 0;
  FileFacts facts;
  facts.size_bytes = Ext4SizeOf(inode);
  facts.mtime_ms = TimeMs(inode, 0x10, 0x88, extra_bytes);
  facts.atime_ms = TimeMs(inode, 0x8, 0x8C, extra_bytes);
  facts.link_count = Read16(inode + 0x1A);
  facts.handle.type = kHandleType;
  facts.handle.length = kHandleBytes;
  memcpy(facts.handle.bytes.data(), &number, 4);
  memcpy(facts.handle.bytes.data() + 4, inode + 0x64, 4);
  return facts;
}

class Scanner {
 public:
  Scanner(const Options& options, const Ext4Layout& layout, int mount_fd)
      : layout_(layout), mount_fd_(mount_fd), control_(options.control) {}

  int ReadGroups() { return ReadExt4Groups(layout_, &groups_); }

  void Run(Tally* tally) {
    Ext4Mapper mapper(layout_);
    std::vector<uint8_t> table;
    for (;;) {
      const uint32_t group = next_group_.fetch_add(1);
      if (group >= groups_.size()) return;
      // Nobody rests for what the kernel reads ahead, so there is none while others use the disk.
      if (!control_.GivesWay()) {
        AskAhead(group == 0 ? 0 : group + kGroupsAhead - 1, group + kGroupsAhead);
      }
      const uint64_t bytes = uint64_t{groups_[group].used_inodes} * layout_.inode_bytes;
      for (uint64_t at = 0; at < bytes; at += table.size()) {
        if (control_.ShouldStop()) stopped_ = true;
        if (stopped_) return;
        const uint64_t most = control_.GivesWay() ? kGentleReadBytes : kReadBytes;
        table.resize(std::min(most, bytes - at));
        const uint64_t start = groups_[group].table_block * layout_.block_bytes + at;
        const ssize_t got =
            pread(layout_.device_fd, table.data(), table.size(), static_cast<off_t>(start));
        if (got != static_cast<ssize_t>(table.size())) {
          tally->FailPart(got < 0 ? errno : EIO);
          continue;
        }
        const uint64_t first =
            uint64_t{group} * layout_.inodes_per_group + at / layout_.inode_bytes;
        ScanTable(table, static_cast<uint32_t>(first + 1), &mapper, tally);
      }
    }
  }

  bool stopped() const { return stopped_; }

 private:
  void AskAhead(uint32_t from, uint32_t upto) {
    for (uint32_t group = from; group < std::min<size_t>(upto, groups_.size()); group += 1) {
      const uint64_t bytes = uint64_t{groups_[group].used_inodes} * layout_.inode_bytes;
      if (bytes == 0) continue;
      const uint64_t start = groups_[group].table_block * layout_.block_bytes;
      posix_fadvise(layout_.device_fd, static_cast<off_t>(start), static_cast<off_t>(bytes),
                    POSIX_FADV_WILLNEED);
    }
  }

  void ScanTable(const std::vector<uint8_t>& table, uint32_t first, Ext4Mapper* mapper,
                 Tally* tally) {
    const size_t count = table.size() / layout_.inode_bytes;
    std::vector<uint64_t> tree_blocks;
    std::vector<size_t> others;
    uint64_t files = 0;
    for (size_t i = 0; i < count; i += 1) {
      const uint8_t* inode = &table[i * layout_.inode_bytes];
      const auto number = static_cast<uint32_t>(first + i);
      if (Read16(inode + 0x1A) == 0 || IsHidden(number, inode)) continue;
      const uint16_t mode = Read16(inode);
      if (S_ISDIR(mode)) tally->Count(kDirectoryCount);
      if (!S_ISREG(mode)) continue;
      files += 1;
      Mapping whole;
      if (Ext4IsWhole(layout_, inode, &whole)) {
        tally->CountWhole(FactsOf(inode, number, layout_.inode_bytes), whole);
        continue;
      }
      others.push_back(i);
      if (Ext4HasTree(inode)) Ext4TreeBlocks(inode, &tree_blocks);
    }
    Ext4ReadAhead(layout_, &tree_blocks);
    for (const size_t i : others) {
      const uint8_t* inode = &table[i * layout_.inode_bytes];
      const FileFacts facts =
          FactsOf(inode, static_cast<uint32_t>(first + i), layout_.inode_bytes);
      tally->Begin(facts);
      if (mapper->Map(inode, tally)) {
        tally->End();
      } else {
        ScanByHandle(mount_fd_, facts, tally);
      }
    }
    control_.AddFiles(files);
  }

  bool IsHidden(uint32_t number, const uint8_t* inode) const {
    if (number < layout_.first_inode) return number != kRootInode;
    for (const uint32_t hidden : layout_.hidden_inodes) {
      if (number == hidden) return true;
    }
    return (Read32(inode + 0x20) & kExt4EaInodeFlag) != 0;
  }

  const Ext4Layout& layout_;
  const int mount_fd_;
  Control control_;
  std::vector<Ext4Group> groups_;
  std::atomic<uint32_t> next_group_{0};
  std::atomic<bool> stopped_{false};
};

/** The device by its path, or by its number where the mount has another name for it. */
Fd OpenDevice(const std::string& path, int mount_fd, Report* report) {
  struct stat mount;
  struct stat status;
  if (fstat(mount_fd, &mount) != 0) mount.st_dev = 0;
  report->failed_call = "read the block device of";
  for (const std::string& name :
       {path, "/dev/block/" + std::to_string(major(mount.st_dev)) + ":" +
                  std::to_string(minor(mount.st_dev))}) {
    Fd device(open(name.c_str(), O_RDONLY | O_CLOEXEC));
    const int error_number = device.ok() ? ENODEV : errno;
    // Why its own path does not do says more than that there is no other.
    if (report->error_number == 0) report->error_number = error_number;
    if (!device.ok() || fstat(device.get(), &status) != 0) continue;
    if (!S_ISBLK(status.st_mode) || status.st_rdev != mount.st_dev) continue;
    report->error_number = 0;
    return device;
  }
  return Fd();
}

}  // namespace

void ScanExt4(const Options& options, Report* report) {
  const Fd mount = OpenMount(options, kRootInode, report);
  if (report->error_number != 0) return;
  const Fd device = OpenDevice(options.device_path, mount.get(), report);
  if (report->error_number != 0) return;

  Ext4Layout layout;
  Scanner scanner(options, layout, mount.get());
  report->error_number = ReadExt4Layout(device.get(), &layout);
  if (report->error_number == 0) report->error_number = scanner.ReadGroups();
  if (report->error_number != 0) {
    report->failed_call = "read the inode tables of";
    return;
  }
  RunTallies(options, report, [&](Tally* tally) { scanner.Run(tally); });
  report->stopped = scanner.stopped();
}

}  // namespace scan
