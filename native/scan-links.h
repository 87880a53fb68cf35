/** Files of several names, of which a walk counts the first that it meets. */

#ifndef DYNAMICFS_NATIVE_SCAN_LINKS_H_
#define DYNAMICFS_NATIVE_SCAN_LINKS_H_

#include <sys/stat.h>

#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace scan {

/** For all threads. There may be millions, so an entry is small, and goes when all names were met. */
class LinkedFiles {
 public:
  bool IsFirstName(const struct stat& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [entry, is_first] = names_left_.emplace(Number{status.st_dev, status.st_ino},
                                                       static_cast<uint32_t>(status.st_nlink));
    if (--entry->second == 0) names_left_.erase(entry);
    return is_first;
  }

 private:
  /** Subvolumes of one Btrfs have device numbers of their own. */
  struct Number {
    dev_t device;
    ino_t inode;

    bool operator==(const Number& other) const {
      return device == other.device && inode == other.inode;
    }
  };
  struct Hash {
    size_t operator()(const Number& file) const {
      return (file.inode ^ file.device << 40) * 0x9E3779B97F4A7C15u;
    }
  };

  std::mutex mutex_;
  std::unordered_map<Number, uint32_t, Hash> names_left_;
};

}  // namespace scan

#endif  // DYNAMICFS_NATIVE_SCAN_LINKS_H_
