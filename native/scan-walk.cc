/**
 * The walk: every directory and file of a mount, by name, with FIEMAP; several threads.
 *
 * Works for every user and file system. Each open is below the mount's descriptor, follows no link
 * and enters no other mount (openat2), so that a name that somebody swaps leads nowhere else.
 *
 * Source: getdents64(2).
 */

#include "scan-beneath.h"
#include "scan-links.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>

namespace scan {

namespace {

constexpr size_t kListBytes = 64 * 1024;
/** Directories that wait to be listed, before others are read on in; those are open. */
constexpr size_t kWaitingMax = 4096;
constexpr size_t kPostponedMax = 64;
/** Files between two looks at the stop flag. */
constexpr uint64_t kFilesPerCheck = 64;
/** While others use the disk. */
constexpr uint64_t kFilesPerGentleCheck = 8;
/** Source: BTRFS_EMPTY_SUBVOL_DIR_OBJECTID. */
constexpr uint64_t kBtrfsStandInInode = 2;
constexpr int kFileFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct Directory {
  Fd fd;
  std::string path;
};

/** A directory to list, or to read on in, or a part of its list to look into. */
struct Work {
  std::string path;
  std::shared_ptr<Directory> directory;
  std::vector<char> list;
};

int64_t Milliseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

bool IsGone(int error_number) {
  return error_number == ENOENT || error_number == ESTALE || error_number == ELOOP ||
         error_number == ENOTDIR;
}

class Walker {
 public:
  Walker(const Options& options, int root_fd)
      : options_(options), root_fd_(root_fd), control_(options.control) {}

  void Push(Work work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(work));
    changed_.notify_one();
  }

  /** One thread's part: takes work until there is none and nobody makes any more. */
  void Run(Tally* tally) {
    std::vector<char> buffer(kListBytes);
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      idle_ += 1;
      changed_.wait(lock, [&] { return HasWork() || busy_ == 0 || ended_; });
      idle_ -= 1;
      if (!HasWork() || ended_) break;
      // The latest first, so that few directories wait at a time.
      std::vector<Work>& from = waiting_.empty() ? postponed_ : waiting_;
      Work work = std::move(from.back());
      from.pop_back();
      busy_ += 1;
      lock.unlock();
      if (!work.list.empty()) {
        LookInto(*work.directory, work.list.data(), work.list.size(), tally);
      } else if (work.directory) {
        ReadOn(work.directory, &buffer, tally);
      } else {
        List(std::move(work.path), &buffer, tally);
      }
      lock.lock();
      busy_ -= 1;
      if (control_.ShouldStop()) stopped_ = ended_ = true;
      if (unsupported_ != 0) ended_ = true;
      if (busy_ == 0 || ended_) changed_.notify_all();
    }
    changed_.notify_all();
  }

  void LookAtOne(const std::string& path, Tally* tally) {
    Look(OpenBeneath(root_fd_, path, kFileFlags), "", path.c_str(), tally);
  }

  bool stopped() const { return stopped_; }
  int unsupported() const { return unsupported_; }

 private:
  bool HasWork() const { return !waiting_.empty() || !postponed_.empty(); }
  bool Postpone(const std::shared_ptr<Directory>& directory);
  void List(std::string path, std::vector<char>* buffer, Tally* tally);
  void ReadOn(const std::shared_ptr<Directory>& directory, std::vector<char>* buffer,
              Tally* tally);
  void LookInto(const Directory& directory, char* list, size_t bytes, Tally* tally);
  void Look(const Fd& file, const std::string& directory_path, const char* name, Tally* tally);
  void LookAtFile(int fd, const std::string& directory_path, const char* name, Tally* tally);

  const Options& options_;
  const int root_fd_;
  Control control_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Work> waiting_;
  /** Directories that were read in part; done when nothing else waits. */
  std::vector<Work> postponed_;
  uint32_t busy_ = 0;
  std::atomic<uint32_t> idle_{0};
  std::atomic<bool> stopped_{false};
  bool ended_ = false;
  std::atomic<int> unsupported_{0};
  LinkedFiles links_;
};

void Walker::List(std::string path, std::vector<char>* buffer, Tally* tally) {
  auto directory = std::make_shared<Directory>(
      Directory{OpenBeneath(root_fd_, path, kDirectoryFlags), std::move(path)});
  if (!directory->fd.ok()) {
    if (errno == EXDEV) {
      tally->Count(kOtherMountCount);
    } else if (IsGone(errno)) {
      tally->Count(kVanishedCount);
    } else {
      tally->FailPart(errno);
    }
    return;
  }
  // In a Btrfs snapshot an empty directory stands for each subvolume below; no table has it.
  struct stat status;
  const bool is_stand_in = options_.fs_type == "btrfs" &&
                           fstat(directory->fd.get(), &status) == 0 &&
                           status.st_ino == kBtrfsStandInInode;
  tally->Count(kDirectoryCount, !is_stand_in);
  ReadOn(directory, buffer, tally);
}

/** Bounds what waits: a million directories in one are read a part at a time. */
bool Walker::Postpone(const std::shared_ptr<Directory>& directory) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (waiting_.size() < kWaitingMax || postponed_.size() >= kPostponedMax) return false;
  postponed_.push_back({"", directory, {}});
  return true;
}

void Walker::ReadOn(const std::shared_ptr<Directory>& directory, std::vector<char>* buffer,
                    Tally* tally) {
  while (!stopped_) {
    const long bytes = syscall(SYS_getdents64, directory->fd.get(), buffer->data(), buffer->size());
    if (bytes < 0) tally->FailPart(errno);
    if (bytes <= 0) return;
    const char* list = buffer->data();
    // A large directory is a list for many threads, which nobody else would find.
    if (idle_ > 0 && bytes > static_cast<long>(kListBytes) / 8) {
      Push({"", directory, std::vector<char>(list, list + bytes)});
    } else {
      LookInto(*directory, buffer->data(), static_cast<size_t>(bytes), tally);
    }
    if (Postpone(directory)) return;
  }
}

void Walker::LookInto(const Directory& directory, char* list, size_t bytes, Tally* tally) {
  std::vector<const dirent64*> files;
  ForEachEntry(list, bytes, [&](const dirent64* entry) {
    if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) {
      files.push_back(entry);
    } else if (entry->d_type == DT_DIR) {
      Push({JoinPath(directory.path, entry->d_name), nullptr, {}});
    }
  });
  // In the order of their inodes on the disk.
  std::sort(files.begin(), files.end(),
            [](const dirent64* a, const dirent64* b) { return a->d_ino < b->d_ino; });

  uint64_t seen = 0;
  for (const dirent64* entry : files) {
    if (++seen >= (control_.GivesWay() ? kFilesPerGentleCheck : kFilesPerCheck)) {
      control_.AddFiles(seen);
      seen = 0;
      if (control_.ShouldStop()) stopped_ = true;
      if (stopped_ || unsupported_ != 0) return;
    }
    if (entry->d_type == DT_UNKNOWN) {
      struct stat status;
      if (fstatat(directory.fd.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        // It may be a directory.
        if (!IsGone(errno)) tally->FailPart(errno);
        continue;
      }
      if (S_ISDIR(status.st_mode)) Push({JoinPath(directory.path, entry->d_name), nullptr, {}});
      if (!S_ISREG(status.st_mode)) continue;
    }
    const Fd file = OpenEntry(directory.fd.get(), entry->d_name, kFileFlags);
    Look(file, directory.path, entry->d_name, tally);
  }
  control_.AddFiles(seen);
}

/** `file` was just opened: errno says why it is not. */
void Walker::Look(const Fd& file, const std::string& directory_path, const char* name,
                  Tally* tally) {
  if (file.ok()) {
    LookAtFile(file.get(), directory_path, name, tally);
  } else if (errno == EXDEV) {
    tally->Count(kOtherMountCount);
  } else if (IsGone(errno) || errno == ENXIO) {
    tally->Count(kVanishedCount);
  } else {
    tally->Fail(errno);
  }
}

void Walker::LookAtFile(int fd, const std::string& directory_path, const char* name,
                        Tally* tally) {
  struct stat status;
  if (fstat(fd, &status) != 0) return tally->Fail(errno);
  if (!S_ISREG(status.st_mode) || status.st_nlink == 0) return tally->Count(kVanishedCount);
  if (status.st_nlink > 1 && !links_.IsFirstName(status)) return;

  FileFacts facts;
  facts.size_bytes = static_cast<uint64_t>(status.st_size);
  facts.mtime_ms = Milliseconds(status.st_mtim);
  facts.atime_ms = Milliseconds(status.st_atim);
  facts.link_count = static_cast<uint32_t>(status.st_nlink);
  tally->Begin(facts);
  if (status.st_size > 0 || status.st_blocks > 0) {
    const int error_number = ReadFiemap(fd, tally);
    if (error_number == EOPNOTSUPP || error_number == ENOTTY) unsupported_ = error_number;
    if (error_number != 0) return tally->Fail(error_number);
  }
  tally->End([&](Candidate* candidate) {
    candidate->handle = HandleOf(fd);
    candidate->path = JoinPath(directory_path, name);
  });
}

}  // namespace

void ScanWalk(const Options& options, Report* report) {
  const Fd root = OpenMount(options, 0, report);
  if (report->error_number != 0) return;
  // By O_PATH first: opening a device or a queue does something.
  const Fd start = OpenBeneath(root.get(), options.subtree, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat status;
  if (!start.ok() || fstat(start.get(), &status) != 0) {
    report->error_number = errno;
    report->failed_call = "open";
    return;
  }
  Walker walker(options, root.get());
  if (S_ISDIR(status.st_mode)) {
    walker.Push({options.subtree, nullptr, {}});
    RunTallies(options, report, [&](Tally* tally) { walker.Run(tally); });
  } else if (S_ISREG(status.st_mode)) {
    report->tally = std::make_unique<Tally>(options, report->map, report->devices);
    walker.LookAtOne(options.subtree, report->tally.get());
  } else {
    report->error_number = EOPNOTSUPP;
    report->failed_call = "scan, as no file or directory,";
    return;
  }
  report->stopped = walker.stopped();
  if (walker.unsupported() != 0) {
    report->error_number = walker.unsupported();
    report->failed_call = "read the maps of files on";
  }
}

}  // namespace scan
