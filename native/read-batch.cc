/**
 * Reading many ranges side by side, while the caller does something else with what it read before.
 *
 * Threads of their own, since O_DIRECT reads wait for the disk: with several the disk has several
 * requests to work on.
 */

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
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
/** Fields of a request of `BeginReads`. */
constexpr size_t kReadFields = 4;
constexpr int kReadThreadsMax = 16;

struct ReadRequest {
  int fd;
  off_t at_bytes;
  size_t length_bytes;
  size_t buffer_bytes;
};

/** @returns bytes read, fewer than asked only at the end of the file, or a negative errno. */
double ReadFully(const ReadRequest& request, uint8_t* buffer) {
  size_t done = 0;
  while (done < request.length_bytes) {
    const ssize_t count = pread(request.fd, buffer + request.buffer_bytes + done,
                                request.length_bytes - done,
                                request.at_bytes + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -static_cast<double>(errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
    // At the end of a file O_DIRECT gives an odd count, and would refuse to go on from there.
    if (static_cast<size_t>(count) % kSectorBytes != 0) break;
  }
  return static_cast<double>(done);
}

/** Reads under way. Gone when its threads have ended, whoever asks for that. */
class Reads {
 public:
  Reads(std::vector<ReadRequest> requests, uint8_t* buffer, size_t thread_count)
      : requests_(std::move(requests)), results_(requests_.size()), buffer_(buffer) {
    const size_t wanted = std::min(requests_.size(), thread_count);
    for (size_t count = 0; count < wanted; count += 1) threads_.emplace_back([this] { Work(); });
  }
  Reads(const Reads&) = delete;
  Reads& operator=(const Reads&) = delete;
  ~Reads() { Wait(); }

  const std::vector<double>& Wait() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return results_;
  }

 private:
  void Work() {
    for (size_t index = next_++; index < requests_.size(); index = next_++) {
      results_[index] = ReadFully(requests_[index], buffer_);
    }
  }

  const std::vector<ReadRequest> requests_;
  std::vector<double> results_;
  uint8_t* const buffer_;
  std::atomic<size_t> next_{0};
  std::vector<std::thread> threads_;
};

}  // namespace

/** Source: pread(2). */
napi_value BeginReads(napi_env env, napi_callback_info info) {
  const Arguments<3> arguments(env, info);
  const double* numbers;
  size_t number_count;
  uint8_t* buffer;
  size_t buffer_bytes;
  int thread_count;
  if (!arguments.ReadDoubles(0, &numbers, &number_count) ||
      !arguments.ReadWritable(1, &buffer, &buffer_bytes) ||
      !arguments.ReadInt(2, &thread_count) || number_count % kReadFields != 0 ||
      thread_count < 1 || thread_count > kReadThreadsMax) {
    return RejectCall(env, "expected (requests: Float64Array, buffer: Uint8Array, "
                           "threadCount: number)");
  }
  std::vector<ReadRequest> requests;
  for (size_t index = 0; index < number_count / kReadFields; index += 1) {
    const double* fields = numbers + index * kReadFields;
    const ReadRequest request = {static_cast<int>(fields[0]), static_cast<off_t>(fields[1]),
                                 static_cast<size_t>(fields[2]), static_cast<size_t>(fields[3])};
    if (request.length_bytes > buffer_bytes ||
        request.buffer_bytes > buffer_bytes - request.length_bytes) {
      return RejectCall(env, "a request that lies in the buffer");
    }
    requests.push_back(request);
  }
  auto reads = std::make_unique<Reads>(std::move(requests), buffer,
                                       static_cast<size_t>(thread_count));
  const auto forget = [](napi_env, void* data, void*) { delete static_cast<Reads*>(data); };
  napi_value handle = nullptr;
  if (napi_create_external(env, reads.get(), forget, nullptr, &handle) != napi_ok) return nullptr;
  reads.release();
  return handle;
}

napi_value FinishReads(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  void* data = nullptr;
  double* results;
  size_t result_count;
  if (!arguments.ReadExternal(0, &data) ||
      !arguments.ReadWritableDoubles(1, &results, &result_count)) {
    return RejectCall(env, "expected (reads: ReadsHandle, results: Float64Array)");
  }
  const std::vector<double>& found = static_cast<Reads*>(data)->Wait();
  if (found.size() != result_count) return RejectCall(env, "a result per request");
  std::copy(found.begin(), found.end(), results);
  return IntValue(env, 0);
}
