/**
 * Makes COUNT files below DIR as fast as the kernel can; one in ten is fragmented and has a second name.
 *
 *   make-entries DIR COUNT
 *
 * Two files at a time get two blocks each, by turns, so that no two blocks of one touch. They stay
 * unwritten: where files lie is all that a scan reads. All others are empty. 1,000 files to a directory.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4096, PER_DIRECTORY = 1000, FRAGMENTED_EVERY = 20 };

static int fail(const char *what) {
  perror(what);
  return 1;
}

int main(int count, char **words) {
  if (count < 3 || chdir(words[1])) return fail("make-entries DIR COUNT");
  long files = atol(words[2]);
  for (long number = 0; number < files; number += 2) {
    char name[2][64], second[64];
    int fd[2];
    sprintf(second, "%ld", number / PER_DIRECTORY);
    if (number % PER_DIRECTORY == 0 && mkdir(second, 0755)) return fail("mkdir");
    for (int i = 0; i < 2; i++) {
      sprintf(name[i], "%ld/file-%ld", number / PER_DIRECTORY, number + i);
      if ((fd[i] = open(name[i], O_CREAT | O_WRONLY | O_EXCL, 0644)) < 0) return fail("open");
    }
    int is_fragmented = number % FRAGMENTED_EVERY == 0;
    for (int turn = 0; is_fragmented && turn < 4; turn++) {
      if (fallocate(fd[turn % 2], 0, turn / 2 * BLOCK_BYTES, BLOCK_BYTES)) return fail("fallocate");
    }
    for (int i = 0; i < 2; i++) {
      close(fd[i]);
      sprintf(second, "%ld/name-%ld", number / PER_DIRECTORY, number + i);
      if (is_fragmented && link(name[i], second)) return fail("link");
    }
  }
  return 0;
}
