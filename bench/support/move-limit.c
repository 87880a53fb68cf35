/**
 * The bare work of a verified move and nothing else: three passes over the disk, with O_DIRECT.
 *
 *   move-limit DIRECTORY THREADS   names of files on standard input, a line each
 *
 * Each thread takes a file, copies it to preallocated space in DIRECTORY, 4 MiB at a time, reads the
 * copy back and deletes it. No checksum, no bookkeeping, nothing is moved.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4 << 20, BLOCK_BYTES = 4096, FILES_MAX = 100000, THREADS_MAX = 16 };

static char *paths[FILES_MAX];
static long path_count;
static long next_path;
static const char *directory;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static long rounded_up(long bytes) { return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES; }

/** Reads all of `from`, and writes it to `to` unless that is negative. */
static void pass(int from, int to, char *buffer) {
  long at = 0;
  for (;;) {
    const ssize_t count = pread(from, buffer, BUFFER_BYTES, at);
    if (count < 0) fail("read");
    if (count == 0) return;
    const long whole = rounded_up(count);
    if (to >= 0 && pwrite(to, buffer, whole, at) != whole) fail("write");
    at += count;
    if (count % BLOCK_BYTES != 0) return;
  }
}

static void copy(const char *path, long number, char *buffer) {
  char name[4096];
  struct stat status;
  const int from = open(path, O_RDONLY | O_DIRECT);
  if (from < 0 || fstat(from, &status) != 0) fail(path);
  snprintf(name, sizeof name, "%s/copy-%ld", directory, number);
  const int to = open(name, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600);
  if (to < 0) fail(name);
  if (status.st_size > 0 && fallocate(to, 0, 0, rounded_up(status.st_size)) != 0) fail("fallocate");
  pass(from, to, buffer);
  pass(to, -1, buffer);
  close(from);
  close(to);
  unlink(name);
}

static void *work(void *unused) {
  (void)unused;
  void *buffer;
  if (posix_memalign(&buffer, BLOCK_BYTES, BUFFER_BYTES) != 0) fail("memory");
  for (;;) {
    const long index = __sync_fetch_and_add(&next_path, 1);
    if (index >= path_count) break;
    copy(paths[index], index, buffer);
  }
  free(buffer);
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  directory = arguments[1];
  const int thread_count = atoi(arguments[2]);
  if (thread_count < 1 || thread_count > THREADS_MAX) return 2;
  char line[4096];
  while (path_count < FILES_MAX && fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    paths[path_count++] = strdup(line);
  }
  pthread_t threads[THREADS_MAX];
  for (int index = 0; index < thread_count; index += 1) {
    if (pthread_create(&threads[index], NULL, work, NULL) != 0) fail("thread");
  }
  for (int index = 0; index < thread_count; index += 1) pthread_join(threads[index], NULL);
  return 0;
}
