/**
 * Reading or writing many ranges side by side, while the caller does something else with what it read
 * before.
 *
 * Threads of their own, since O_DIRECT waits for the disk: with several the disk has several requests
 * to work on. Not those of libuv, which a whole process shares: a disk that hangs would keep them all.
 */

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "move-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::RejectCall;

namespace {

/** The least that O_DIRECT reads. */
constexpr size_t kSectorBytes = 512;
constexpr size_t kRequestFields = 4;
constexpr size_t kThreadsMax = 16;

enum class Direction { kRead, kWrite };

struct Request {
  int fd;
  off_t at_bytes;
  size_t length_bytes;
  size_t buffer_bytes;
};

/** @returns bytes done, fewer than asked only at the end of a file that is read, or a negative errno. */
double TransferFully(Direction direction, const Request& request, uint8_t* buffer) {
  size_t done = 0;
  while (done < request.length_bytes) {
    uint8_t* const bytes = buffer + request.buffer_bytes + done;
    const size_t rest = request.length_bytes - done;
    const off_t at = request.at_bytes + static_cast<off_t>(done);
    const ssize_t count = direction == Direction::kRead ? pread(request.fd, bytes, rest, at)
                                                        : pwrite(request.fd, bytes, rest, at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -static_cast<double>(errno);
    if (direction == Direction::kWrite && count == 0) return -static_cast<double>(EIO);
    if (count == 0) break;
    done += static_cast<size_t>(count);
    // At the end of a file O_DIRECT gives an odd count, and would refuse to go on from there.
    const bool is_odd = static_cast<size_t>(count) % kSectorBytes != 0;
    if (direction == Direction::kRead && is_odd) break;
  }
  return static_cast<double>(done);
}

/** Under way. Threads that help hold it as long as they look at it. */
class Transfers {
 public:
  Transfers(Direction direction, std::vector<Request> requests, uint8_t* buffer)
      : direction_(direction),
        requests_(std::move(requests)),
        results_(requests_.size()),
        is_done_(requests_.size()),
        buffer_(buffer) {}

  /** Takes requests that nobody has begun, until there is none. */
  void Work() {
    while (WorkOnce()) {
    }
  }

  /** Helps until this one is done. */
  double WaitFor(size_t index) {
    while (!is_done_[index].load(std::memory_order_acquire) && next_ <= index && WorkOnce()) {
    }
    if (!is_done_[index].load(std::memory_order_acquire)) {
      std::unique_lock<std::mutex> lock(mutex_);
      one_is_done_.wait(lock, [this, index] { return is_done_[index].load(); });
    }
    return results_[index];
  }

  const std::vector<double>& WaitForAll() {
    for (size_t index = 0; index < requests_.size(); index += 1) WaitFor(index);
    return results_;
  }

  size_t size() const { return requests_.size(); }

 private:
  bool WorkOnce() {
    const size_t index = next_++;
    if (index >= requests_.size()) return false;
    results_[index] = TransferFully(direction_, requests_[index], buffer_);
    // Under the lock, or who is about to wait would miss it.
    const std::lock_guard<std::mutex> lock(mutex_);
    is_done_[index].store(true, std::memory_order_release);
    one_is_done_.notify_all();
    return true;
  }

  const Direction direction_;
  const std::vector<Request> requests_;
  std::vector<double> results_;
  std::vector<std::atomic<bool>> is_done_;
  uint8_t* const buffer_;
  std::atomic<size_t> next_{0};
  std::mutex mutex_;
  std::condition_variable one_is_done_;
};

/**
 * Threads that stay, since to start one costs more than to wake one. Of one thread of Node, so that a
 * disk that hangs keeps nobody but who waits for it anyway; they end with that thread.
 */
class Helpers {
 public:
  Helpers() = default;
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  ~Helpers() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_ending_ = true;
    }
    wanted_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  /** As many as there can be: who waits does what they do not. */
  void Help(const std::shared_ptr<Transfers>& transfers, size_t thread_count) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t count = 0; count < thread_count; count += 1) queue_.push_back(transfers);
    try {
      while (idle_count_ + starting_count_ < queue_.size() && threads_.size() < kThreadsMax) {
        threads_.emplace_back([this] { Run(); });
        starting_count_ += 1;
      }
    } catch (const std::system_error&) {
      // Fewer threads do the same work.
    }
    for (size_t count = 0; count < thread_count; count += 1) wanted_.notify_one();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    starting_count_ -= 1;
    for (;;) {
      idle_count_ += 1;
      wanted_.wait(lock, [this] { return is_ending_ || !queue_.empty(); });
      idle_count_ -= 1;
      if (is_ending_) return;
      std::shared_ptr<Transfers> transfers = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      transfers->Work();
      transfers.reset();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<std::shared_ptr<Transfers>> queue_;
  std::vector<std::thread> threads_;
  size_t idle_count_ = 0;
  size_t starting_count_ = 0;
  bool is_ending_ = false;
};

Helpers& OwnHelpers() {
  thread_local Helpers helpers;
  return helpers;
}

/** What JavaScript holds: nobody touches the buffer any more when it is gone. */
struct Handle {
  explicit Handle(std::shared_ptr<Transfers> of) : transfers(std::move(of)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { transfers->WaitForAll(); }

  const std::shared_ptr<Transfers> transfers;
};

napi_value Begin(napi_env env, napi_callback_info info, Direction direction) {
  const Arguments<3> arguments(env, info);
  const double* numbers;
  size_t number_count;
  uint8_t* buffer;
  size_t buffer_bytes;
  int thread_count;
  if (!arguments.ReadDoubles(0, &numbers, &number_count) ||
      !arguments.ReadWritable(1, &buffer, &buffer_bytes) ||
      !arguments.ReadInt(2, &thread_count) || number_count % kRequestFields != 0 ||
      thread_count < 1 || static_cast<size_t>(thread_count) > kThreadsMax) {
    return RejectCall(env, "expected (requests: Float64Array, buffer: Uint8Array, "
                           "threadCount: number)");
  }
  std::vector<Request> requests;
  for (size_t index = 0; index < number_count / kRequestFields; index += 1) {
    const double* fields = numbers + index * kRequestFields;
    const Request request = {static_cast<int>(fields[0]), static_cast<off_t>(fields[1]),
                                 static_cast<size_t>(fields[2]), static_cast<size_t>(fields[3])};
    if (request.length_bytes > buffer_bytes ||
        request.buffer_bytes > buffer_bytes - request.length_bytes) {
      return RejectCall(env, "a request that lies in the buffer");
    }
    requests.push_back(request);
  }
  const size_t helper_count = std::min(requests.size(), static_cast<size_t>(thread_count));
  const auto transfers = std::make_shared<Transfers>(direction, std::move(requests), buffer);
  auto handle = std::make_unique<Handle>(transfers);
  OwnHelpers().Help(transfers, helper_count);
  const auto forget = [](napi_env, void* data, void*) { delete static_cast<Handle*>(data); };
  napi_value value = nullptr;
  if (napi_create_external(env, handle.get(), forget, nullptr, &value) != napi_ok) return nullptr;
  handle.release();
  return value;
}

}  // namespace

/** Source: pread(2). */
napi_value BeginReads(napi_env env, napi_callback_info info) {
  return Begin(env, info, Direction::kRead);
}

/** Source: pwrite(2). */
napi_value BeginWrites(napi_env env, napi_callback_info info) {
  return Begin(env, info, Direction::kWrite);
}

napi_value WaitForTransfer(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  void* data = nullptr;
  int index;
  if (!arguments.ReadExternal(0, &data) || !arguments.ReadInt(1, &index)) {
    return RejectCall(env, "expected (transfers: TransfersHandle, index: number)");
  }
  Transfers& transfers = *static_cast<Handle*>(data)->transfers;
  if (index < 0 || static_cast<size_t>(index) >= transfers.size()) {
    return RejectCall(env, "the index of a request");
  }
  napi_value result = nullptr;
  napi_create_double(env, transfers.WaitFor(static_cast<size_t>(index)), &result);
  return result;
}

napi_value FinishTransfers(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  void* data = nullptr;
  double* results;
  size_t result_count;
  if (!arguments.ReadExternal(0, &data) ||
      !arguments.ReadWritableDoubles(1, &results, &result_count)) {
    return RejectCall(env, "expected (transfers: TransfersHandle, results: Float64Array)");
  }
  const std::vector<double>& found = static_cast<Handle*>(data)->transfers->WaitForAll();
  if (found.size() != result_count) return RejectCall(env, "a result per request");
  std::copy(found.begin(), found.end(), results);
  return IntValue(env, 0);
}
