/**
 * Whether a disk answers, asked by a process of its own.
 *
 * A device that hangs lets go of no thread that waits for it, and no process ends while one of its
 * threads waits: not even SIGKILL helps. So the question is asked in a process that can be left behind.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>

#include "device-calls.h"

using addon::Arguments;
using addon::IntValue;
using addon::RejectCall;

namespace {

constexpr size_t kBlockBytes = 4096;
constexpr size_t kPathBytesMax = 4096;

/** @returns 0 or an errno. Without O_DIRECT nothing is read: a cache says nothing about a disk. */
int ReadBlock(const char* path, void* block) {
  const int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno == EINVAL ? 0 : errno;
  return pread(fd, block, kBlockBytes, 0) < 0 ? errno : 0;
}

/**
 * Runs in a thread of its own, which vfork holds up until the child has ended; unlike a thread that
 * waits for the disk, one that waits for vfork ends with its process. The child shares this memory and
 * nothing else: no descriptor, so that nobody waits for what it inherited.
 */
void AskInChild(std::string path, int answer_fd) {
  sigset_t all;
  sigfillset(&all);
  // Handlers would run in both processes.
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  alignas(kBlockBytes) char block[kBlockBytes];
  const pid_t child = vfork();
  if (child == 0) {
    const unsigned int fd = static_cast<unsigned int>(answer_fd);
    if (fd > 0) syscall(SYS_close_range, 0U, fd - 1, 0U);
    syscall(SYS_close_range, fd + 1, ~0U, 0U);
    const int error = ReadBlock(path.c_str(), block);
    const ssize_t written = write(answer_fd, &error, sizeof(error));
    _exit(written < 0 ? 1 : 0);
  }
  const int error = errno;
  if (child < 0 && write(answer_fd, &error, sizeof(error)) < 0) return;
  close(answer_fd);
  if (child > 0) waitpid(child, nullptr, 0);
}

/** @returns what was answered, ETIMEDOUT, or why nobody could be asked. */
int WaitForAnswer(int fd, int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) return ETIMEDOUT;
    pollfd waiting = {fd, POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return errno;
    if (ready <= 0) continue;
    int answer = EIO;
    return read(fd, &answer, sizeof(answer)) < 0 ? errno : answer;
  }
}

}  // namespace

/** Source: vfork(2), open(2) (O_DIRECT), close_range(2). */
napi_value ProbeDisk(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  char path[kPathBytesMax];
  int timeout_ms;
  if (!arguments.ReadText(0, path, sizeof(path)) || !arguments.ReadInt(1, &timeout_ms) ||
      timeout_ms <= 0) {
    return RejectCall(env, "expected (path: string, timeoutMs: number), greater than 0");
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return IntValue(env, errno);
  try {
    std::thread(AskInChild, std::string(path), ends[1]).detach();
  } catch (const std::system_error& error) {
    close(ends[0]);
    close(ends[1]);
    return IntValue(env, error.code().value());
  }
  const int answer = WaitForAnswer(ends[0], timeout_ms);
  close(ends[0]);
  return IntValue(env, answer);
}

/** Source: _exit(2). */
napi_value EndProcess(napi_env env, napi_callback_info info) {
  const Arguments<1> arguments(env, info);
  int code;
  if (!arguments.ReadInt(0, &code)) return RejectCall(env, "expected (code: number)");
  // What is left of the process would keep them open, and whoever reads them waiting.
  close(STDOUT_FILENO);
  close(STDERR_FILENO);
  _exit(code);
}
