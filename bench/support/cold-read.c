/**
 * Reads the same ranges again and again past the page cache, and says how long that took: what a payback
 * is held against. It shares no code with what measures that.
 *
 *   cold-read PASSES   on standard input: `f PATH` the file that what follows is of, `r OFFSET LENGTH` a
 *                      range, `g` the end of a group
 *
 * The ranges of a group are read side by side, the groups one after the other. The milliseconds of each
 * pass on standard output, a line each; the files are opened before.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { RANGES_MAX = 1 << 20, GROUPS_MAX = 1 << 16, THREADS = 4, RANGE_BYTES_MAX = 4 << 20,
       HUGE_PAGE_BYTES = 2 << 20 };

struct range {
  int fd;
  off_t offset;
  size_t length;
};

static struct range ranges[RANGES_MAX];
static long group_ends[GROUPS_MAX];
static long range_count, group_count, pass_count;
static long next_range;
static pthread_barrier_t barrier;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void read_plan(void) {
  char line[4096];
  int fd = -1;
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (line[0] == 'f') {
      fd = open(line + 2, O_RDONLY | O_DIRECT);
      if (fd < 0) fail(line + 2);
    } else if (line[0] == 'g') {
      if (group_count == GROUPS_MAX) fail("too many groups");
      group_ends[group_count++] = range_count;
    } else {
      long long offset, length;
      if (sscanf(line, "r %lld %lld", &offset, &length) != 2) fail(line);
      if (range_count == RANGES_MAX || length > RANGE_BYTES_MAX) fail("too much");
      ranges[range_count++] = (struct range){fd, offset, length};
    }
  }
}

static void read_range(void *buffer, const struct range *one) {
  if (pread(one->fd, buffer, one->length, one->offset) <= 0) fail("read");
}

/** Side by side with the other threads, which are all in the same group. */
static void read_group(void *buffer, int is_first, long start, long end) {
  if (is_first) next_range = start;
  pthread_barrier_wait(&barrier);
  for (;;) {
    const long index = __atomic_fetch_add(&next_range, 1, __ATOMIC_RELAXED);
    if (index >= end) break;
    read_range(buffer, &ranges[index]);
  }
  pthread_barrier_wait(&barrier);
}

static void *work(void *is_first) {
  // In pages of 4 KiB a request has too many segments to be a large one.
  void *buffer;
  if (posix_memalign(&buffer, HUGE_PAGE_BYTES, RANGE_BYTES_MAX)) fail("memory");
  madvise(buffer, RANGE_BYTES_MAX, MADV_HUGEPAGE);
  memset(buffer, 0, RANGE_BYTES_MAX);
  for (long pass = 0; pass < pass_count; pass++) {
    const double began_at_ms = now_ms();
    long start = 0;
    for (long group = 0; group < group_count; group++) {
      const long end = group_ends[group];
      // To wake others for one range would take as long as to read it.
      if (end - start > 1) read_group(buffer, is_first != NULL, start, end);
      else if (is_first) read_range(buffer, &ranges[start]);
      start = end;
    }
    if (is_first) printf("%.3f\n", now_ms() - began_at_ms);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  pass_count = atol(argv[1]);
  read_plan();
  pthread_t threads[THREADS];
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (long n = 1; n < THREADS; n++) {
    if (pthread_create(&threads[n], NULL, work, NULL)) fail("thread");
  }
  work(&barrier);
  for (long n = 1; n < THREADS; n++) pthread_join(threads[n], NULL);
  return 0;
}
