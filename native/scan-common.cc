/** Threads, descriptors, progress and FIEMAP, as every source of the analysis needs them. */

#include "scan.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>

namespace scan {

namespace {

/** 28 KiB of records, so that one call is enough for nearly every file. */
constexpr uint32_t kRecordsPerCall = 512;

enum ControlWord { kStopWord, kFilesLowWord, kFilesHighWord, kDutyWord };

/** As src/domain/governor-pace.ts has them. */
constexpr int32_t kDutyPaused = -1;
constexpr double kDutyWhole = 1e6;
constexpr auto kRestMax = std::chrono::seconds(30);
/** The duty may change during a rest, and a stop ends it; each look takes the processor from others. */
constexpr std::chrono::duration<double> kRestStepMax = std::chrono::milliseconds(250);

std::atomic<uint64_t> control_count{0};

/** How long one thread may go on resting after it worked for `work`. */
std::chrono::duration<double> RestAfter(std::chrono::duration<double> work, int32_t duty) {
  if (duty == 0) return std::chrono::duration<double>::zero();
  if (duty == kDutyPaused) return kRestMax;
  return std::min<std::chrono::duration<double>>(kRestMax, work * (kDutyWhole / duty - 1));
}

uint32_t FlagsOf(const fiemap_extent& record) {
  uint32_t flags = 0;
  if (record.fe_flags & FIEMAP_EXTENT_UNWRITTEN) flags |= kUnwritten;
  if (record.fe_flags & FIEMAP_EXTENT_SHARED) flags |= kShared;
  if (record.fe_flags & FIEMAP_EXTENT_ENCODED) flags |= kCompressed;
  return flags;
}

}  // namespace

uint32_t KernelDevice(uint64_t device) {
  return (minor(device) & 0xFF) | (major(device) << 8) | ((minor(device) & ~0xFFu) << 12);
}

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

Control::Control(int32_t* words) : words_(words), number_(++control_count) {}

bool Control::ShouldStop() const {
  if (words_ == nullptr) return false;
  Breathe();
  return __atomic_load_n(&words_[kStopWord], __ATOMIC_RELAXED) != 0;
}

bool Control::GivesWay() const {
  return words_ != nullptr && __atomic_load_n(&words_[kDutyWord], __ATOMIC_RELAXED) != 0;
}

void Control::Breathe() const {
  using Clock = std::chrono::steady_clock;
  thread_local uint64_t number = 0;
  thread_local Clock::time_point work_since;
  if (!GivesWay()) {
    // Asked for every file: with nobody to give way to it is to cost nothing, not even a look at the
    // clock. Work begins to count when there is somebody.
    number = 0;
    return;
  }
  const auto began = Clock::now();
  // A thread that looks for the first time has done next to nothing.
  const auto work = number == number_ ? began - work_since : Clock::duration::zero();
  while (__atomic_load_n(&words_[kStopWord], __ATOMIC_RELAXED) == 0) {
    const int32_t duty = __atomic_load_n(&words_[kDutyWord], __ATOMIC_RELAXED);
    const auto left = RestAfter(work, duty) - (Clock::now() - began);
    if (left <= std::chrono::duration<double>::zero()) break;
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(left, kRestStepMax));
  }
  number = number_;
  work_since = Clock::now();
}

void Control::AddFiles(uint64_t count) {
  if (words_ == nullptr) return;
  const uint64_t files = files_.fetch_add(count, std::memory_order_relaxed) + count;
  const auto low = static_cast<int32_t>(files & UINT32_MAX);
  const auto high = static_cast<int32_t>(files >> 32);
  __atomic_store_n(&words_[kFilesHighWord], high, __ATOMIC_RELAXED);
  __atomic_store_n(&words_[kFilesLowWord], low, __ATOMIC_RELAXED);
}

int RunThreads(uint32_t count, const std::function<void(uint32_t index)>& body) {
  std::atomic<int> failure{0};
  const auto guarded = [&](uint32_t index) {
    try {
      body(index);
    } catch (const std::bad_alloc&) {
      failure = ENOMEM;
    }
  };
  std::vector<std::thread> threads;
  try {
    for (uint32_t index = 1; index < count; index += 1) threads.emplace_back(guarded, index);
  } catch (const std::system_error&) {
    // Fewer threads do the same work.
  }
  guarded(0);
  for (std::thread& thread : threads) thread.join();
  return failure;
}

void RunTallies(const Options& options, Report* report,
                const std::function<void(Tally* tally)>& body) {
  std::vector<std::unique_ptr<Tally>> tallies;
  for (uint32_t index = 0; index < options.thread_count; index += 1) {
    tallies.push_back(std::make_unique<Tally>(options, report->map, report->devices));
  }
  const int error_number =
      RunThreads(options.thread_count, [&](uint32_t index) { body(tallies[index].get()); });
  if (error_number != 0) {
    report->error_number = error_number;
    report->failed_call = "get memory to scan";
  }
  report->tally = std::move(tallies[0]);
  for (uint32_t index = 1; index < options.thread_count; index += 1) {
    report->tally->Merge(tallies[index].get());
  }
  report->tally->SortCandidates();
}

Fd OpenMount(const Options& options, uint64_t root_inode, Report* report) {
  Fd mount(open(options.mount_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!mount.ok() || fstat(mount.get(), &status) != 0) {
    report->error_number = errno;
    report->failed_call = "open mount";
  } else if (root_inode != 0 && status.st_ino != root_inode) {
    // The tables would show what lies outside of this mount.
    report->error_number = EXDEV;
    report->failed_call = "read the whole file system for a part of it, mounted at";
  }
  return mount;
}

Fd OpenByHandle(int mount_fd, const Handle& handle) {
  alignas(file_handle) char storage[sizeof(file_handle) + sizeof(handle.bytes)];
  auto* request = reinterpret_cast<file_handle*>(storage);
  request->handle_bytes = handle.length;
  request->handle_type = handle.type;
  memcpy(request->f_handle, handle.bytes.data(), handle.length);
  constexpr int kFlags = O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  return Fd(open_by_handle_at(mount_fd, request, kFlags));
}

/** Source: Documentation/filesystems/fiemap.rst. */
int ReadFiemap(int fd, Tally* tally) {
  alignas(fiemap) char storage[sizeof(fiemap) + kRecordsPerCall * sizeof(fiemap_extent)];
  auto* request = reinterpret_cast<fiemap*>(storage);
  uint64_t next = 0;
  for (;;) {
    memset(request, 0, sizeof(fiemap));
    request->fm_start = next;
    request->fm_length = FIEMAP_MAX_OFFSET - next;
    request->fm_extent_count = kRecordsPerCall;
    if (ioctl(fd, FS_IOC_FIEMAP, request) != 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    const uint64_t asked_from = next;
    for (uint32_t index = 0; index < request->fm_mapped_extents; index += 1) {
      const fiemap_extent& record = request->fm_extents[index];
      next = record.fe_logical + record.fe_length;
      if (record.fe_flags & FIEMAP_EXTENT_DATA_INLINE) {
        tally->SetInline();
      } else if (!(record.fe_flags & (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC))) {
        tally->Add({record.fe_logical, record.fe_physical, record.fe_length, FlagsOf(record)});
      }
      if (record.fe_flags & FIEMAP_EXTENT_LAST) return 0;
    }
    // Fewer than asked for means that there are no more; no progress would loop for ever.
    if (request->fm_mapped_extents < kRecordsPerCall || next <= asked_from) return 0;
  }
}

void ScanByHandle(int mount_fd, const FileFacts& facts, Tally* tally) {
  const Fd file = OpenByHandle(mount_fd, facts.handle);
  if (!file.ok()) {
    if (errno == ESTALE || errno == ENOENT) {
      tally->Count(kVanishedCount);
    } else {
      tally->Fail(errno);
    }
    return;
  }
  tally->Begin(facts);
  const int error_number = ReadFiemap(file.get(), tally);
  if (error_number != 0) {
    tally->Fail(error_number);
  } else {
    tally->End();
  }
}

/** Source: Documentation/ABI/stable/sysfs-block (size, in sectors of 512 bytes). */
void PlanMap(const Options& options, MapPlan* map) {
  if (options.map_cell_count == 0) return;
  if (options.fs_type == "btrfs") return PlanBtrfsMap(options, map);
  struct stat status;
  if (stat(options.mount_path.c_str(), &status) != 0) return;
  const std::string path = "/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" +
                           std::to_string(minor(status.st_dev)) + "/size";
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[32] = {};
  if (!file.ok() || read(file.get(), text, sizeof(text) - 1) <= 0) return;
  map->Divide(options.map_cell_count, strtoull(text, nullptr, 10) * 512);
}

}  // namespace scan
