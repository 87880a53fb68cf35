/**
 * The bare work of a move and nothing else: no checksum, no bookkeeping.
 *
 *   move-limit copy|verify|move DIRECTORY THREADS   names of files on standard input, a line each
 *
 * Each thread takes a file. To copy is two passes over the disk with O_DIRECT: the file is read and written
 * to preallocated space in DIRECTORY, 4 MiB at a time, and the copy deleted. To verify is a third pass, as
 * a verified move makes: the copy is read back before.
 * To move is EXT4_IOC_MOVE_EXT without verification: to preallocated space, 16 MiB at a time, each read
 * before into single pages of the page cache, and written after.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4 << 20, WINDOW_BYTES = 16 << 20, BLOCK_BYTES = 4096, FILES_MAX = 100000, THREADS_MAX = 16 };

/** Source: fs/ext4/ext4.h; no header has it. */
struct move_extent {
  uint32_t reserved;
  uint32_t donor_fd;
  uint64_t start_block;
  uint64_t donor_start_block;
  uint64_t block_count;
  uint64_t moved_block_count;
};
#define EXT4_IOC_MOVE_EXT _IOWR('f', 15, struct move_extent)

static char *paths[FILES_MAX];
static long path_count;
static long next_path;
static const char *directory;
static void (*use)(const char *path, long number, char *buffer);

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

static void copy_with(const char *path, long number, char *buffer, int reads_back) {
  char name[4096];
  struct stat status;
  const int from = open(path, O_RDONLY | O_DIRECT);
  if (from < 0 || fstat(from, &status) != 0) fail(path);
  snprintf(name, sizeof name, "%s/copy-%ld", directory, number);
  const int to = open(name, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600);
  if (to < 0) fail(name);
  if (status.st_size > 0 && fallocate(to, 0, 0, rounded_up(status.st_size)) != 0) fail("fallocate");
  pass(from, to, buffer);
  if (reads_back) pass(to, -1, buffer);
  close(from);
  close(to);
  unlink(name);
}

static void copy(const char *path, long number, char *buffer) { copy_with(path, number, buffer, 0); }

static void verify(const char *path, long number, char *buffer) { copy_with(path, number, buffer, 1); }

static void move_window(int file, int donor, long at, long length) {
  struct move_extent request = {.donor_fd = donor, .start_block = at / BLOCK_BYTES};
  const uint64_t end_block = rounded_up(at + length) / BLOCK_BYTES;
  while (request.start_block < end_block) {
    request.donor_start_block = request.start_block;
    request.block_count = end_block - request.start_block;
    if (ioctl(file, EXT4_IOC_MOVE_EXT, &request) != 0 || request.moved_block_count == 0) fail("MOVE_EXT");
    request.start_block += request.moved_block_count;
  }
}

static void move(const char *path, long number, char *buffer) {
  (void)number;
  struct stat status;
  const int file = open(path, O_RDWR);
  if (file < 0 || fstat(file, &status) != 0) fail(path);
  const int donor = open(directory, O_TMPFILE | O_RDWR, 0600);
  if (donor < 0) fail(directory);
  if (status.st_size > 0 && fallocate(donor, 0, 0, rounded_up(status.st_size)) != 0) fail("fallocate");
  posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
  for (long at = 0; at < status.st_size; at += WINDOW_BYTES) {
    const long rest = status.st_size - at;
    const long length = rest < WINDOW_BYTES ? rest : WINDOW_BYTES;
    for (long done = 0; done < length; done += BUFFER_BYTES) {
      if (pread(file, buffer, BUFFER_BYTES, at + done) < 0) fail("read");
    }
    move_window(file, donor, at, length);
    sync_file_range(file, at, length, SYNC_FILE_RANGE_WRITE);
  }
  close(file);
  close(donor);
}

static const struct {
  const char *name;
  void (*use)(const char *path, long number, char *buffer);
} kinds[] = {{"copy", copy}, {"verify", verify}, {"move", move}};

static void *work(void *unused) {
  (void)unused;
  void *buffer;
  if (posix_memalign(&buffer, BLOCK_BYTES, BUFFER_BYTES) != 0) fail("memory");
  for (;;) {
    const long index = __sync_fetch_and_add(&next_path, 1);
    if (index >= path_count) break;
    use(paths[index], index, buffer);
  }
  free(buffer);
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  for (size_t index = 0; index < sizeof kinds / sizeof *kinds; index += 1) {
    if (strcmp(arguments[1], kinds[index].name) == 0) use = kinds[index].use;
  }
  directory = arguments[2];
  const int thread_count = atoi(arguments[3]);
  if (use == NULL || thread_count < 1 || thread_count > THREADS_MAX) return 2;
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
