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
#include <memory>
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
constexpr int kThreadsMax = 16;

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

/** Under way. Gone when its threads have ended, whoever asks for that. */
class Transfers {
 public:
  Transfers(Direction direction, std::vector<Request> requests, uint8_t* buffer,
            size_t thread_count)
      : direction_(direction),
        requests_(std::move(requests)),
        results_(requests_.size()),
        buffer_(buffer) {
    const size_t wanted = std::min(requests_.size(), thread_count);
    try {
      for (size_t count = 0; count < wanted; count += 1) threads_.emplace_back([this] { Work(); });
    } catch (const std::system_error&) {
      // Fewer threads do the same work; without any, whoever waits does it.
    }
  }
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;
  ~Transfers() { Wait(); }

  const std::vector<double>& Wait() {
    Work();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return results_;
  }

 private:
  void Work() {
    for (size_t index = next_++; index < requests_.size(); index = next_++) {
      results_[index] = TransferFully(direction_, requests_[index], buffer_);
    }
  }

  const Direction direction_;
  const std::vector<Request> requests_;
  std::vector<double> results_;
  uint8_t* const buffer_;
  std::atomic<size_t> next_{0};
  std::vector<std::thread> threads_;
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
      thread_count < 1 || thread_count > kThreadsMax) {
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
  auto transfers = std::make_unique<Transfers>(direction, std::move(requests), buffer,
                                               static_cast<size_t>(thread_count));
  const auto forget = [](napi_env, void* data, void*) { delete static_cast<Transfers*>(data); };
  napi_value handle = nullptr;
  if (napi_create_external(env, transfers.get(), forget, nullptr, &handle) != napi_ok) {
    return nullptr;
  }
  transfers.release();
  return handle;
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

napi_value FinishTransfers(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  void* data = nullptr;
  double* results;
  size_t result_count;
  if (!arguments.ReadExternal(0, &data) ||
      !arguments.ReadWritableDoubles(1, &results, &result_count)) {
    return RejectCall(env, "expected (transfers: TransfersHandle, results: Float64Array)");
  }
  const std::vector<double>& found = static_cast<Transfers*>(data)->Wait();
  if (found.size() != result_count) return RejectCall(env, "a result per request");
  std::copy(found.begin(), found.end(), results);
  return IntValue(env, 0);
}
