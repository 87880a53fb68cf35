/**
 * The bare work of a scan and nothing else: what each interface can do at most on this machine.
 *
 *   scan-limit walk DIR THREADS   getdents, open, fstat, FIEMAP, close
 *   scan-limit ext4 DEVICE        inode tables; leaf blocks of a table are asked for at once
 *   scan-limit xfs DIR            bulkstat, which carries the number of records
 *   scan-limit btrfs DIR          TREE_SEARCH_V2 over the tree of the top level
 *
 * No check, no report: it prints files and fragmented files. ext4 with 64-bit descriptors only.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long files, fragmented;

static char **waiting;
static size_t waiting_count, waiting_size;
static int busy;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void push(char *path) {
  pthread_mutex_lock(&lock);
  if (waiting_count == waiting_size) {
    waiting_size = waiting_size ? 2 * waiting_size : 1024;
    waiting = realloc(waiting, waiting_size * sizeof(char *));
  }
  waiting[waiting_count++] = path;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static int count_fragments(int fd) {
  static __thread char storage[sizeof(struct fiemap) + 512 * sizeof(struct fiemap_extent)];
  struct fiemap *map = (struct fiemap *)storage;
  uint64_t next = 0, physical = 0, logical = 0;
  int count = 0;
  for (;;) {
    memset(map, 0, sizeof(*map));
    map->fm_start = next;
    map->fm_length = ~0ull - next;
    map->fm_extent_count = 512;
    if (ioctl(fd, FS_IOC_FIEMAP, map) || !map->fm_mapped_extents) return count;
    for (unsigned i = 0; i < map->fm_mapped_extents; i++) {
      struct fiemap_extent *e = &map->fm_extents[i];
      if (!count || e->fe_physical != physical || e->fe_logical != logical) count++;
      physical = e->fe_physical + e->fe_length;
      next = logical = e->fe_logical + e->fe_length;
      if (e->fe_flags & FIEMAP_EXTENT_LAST) return count;
    }
  }
}

static void list(const char *path, unsigned long *own_files, unsigned long *own_fragmented) {
  static __thread char buffer[65536];
  int directory = open(path, O_RDONLY | O_DIRECTORY);
  long bytes;
  while ((bytes = syscall(SYS_getdents64, directory, buffer, sizeof(buffer))) > 0) {
    for (long at = 0; at < bytes;) {
      struct dirent64 *entry = (struct dirent64 *)(buffer + at);
      at += entry->d_reclen;
      if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
        char *below;
        if (asprintf(&below, "%s/%s", path, entry->d_name) > 0) push(below);
      } else if (entry->d_type == DT_REG) {
        struct stat status;
        int fd = openat(directory, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NOATIME);
        fstat(fd, &status);
        *own_files += 1;
        *own_fragmented += count_fragments(fd) > 1;
        close(fd);
      }
    }
  }
  close(directory);
}

static void *walk(void *unused) {
  unsigned long own_files = 0, own_fragmented = 0;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!waiting_count && busy) pthread_cond_wait(&changed, &lock);
    if (!waiting_count) break;
    char *path = waiting[--waiting_count];
    busy++;
    pthread_mutex_unlock(&lock);
    list(path, &own_files, &own_fragmented);
    free(path);
    pthread_mutex_lock(&lock);
    if (!--busy) pthread_cond_broadcast(&changed);
  }
  pthread_cond_broadcast(&changed);
  files += own_files;
  fragmented += own_fragmented;
  pthread_mutex_unlock(&lock);
  return unused;
}

struct record { uint32_t block; uint16_t length, high; uint32_t low; };
struct node { uint16_t magic, count, max, depth; uint32_t generation; struct record records[]; };

static int count_leaf(const struct node *node, uint64_t *physical, uint64_t *logical) {
  int count = 0;
  for (int i = 0; i < node->count; i++) {
    const struct record *r = &node->records[i];
    unsigned length = r->length > 32768 ? r->length - 32768u : r->length;
    uint64_t start = (uint64_t)r->high << 32 | r->low;
    if (start != *physical || r->block != *logical) count++;
    *physical = start + length;
    *logical = r->block + length;
  }
  return count;
}

static uint64_t child(const struct node *node, int i) {
  const struct record *r = &node->records[i];
  return (uint64_t)(r->low & 0xffff) << 32 | (uint32_t)r->high << 16 | r->length;
}

static void ext4(const char *device) {
  int fd = open(device, O_RDONLY);
  static uint8_t super[1024], leaf[65536];
  pread(fd, super, 1024, 1024);
  uint64_t block = 1024u << *(uint32_t *)(super + 24);
  uint32_t per_group = *(uint32_t *)(super + 40), size = *(uint16_t *)(super + 88);
  uint32_t groups = (*(uint32_t *)super) / per_group, width = *(uint16_t *)(super + 254);
  uint8_t *descriptors = malloc(groups * width), *table = malloc((size_t)per_group * size);
  pread(fd, descriptors, groups * width, block == 1024 ? 2048 : block);
  for (uint32_t g = 0; g < groups; g++) {
    uint8_t *d = descriptors + g * width;
    size_t used = per_group - (*(uint16_t *)(d + 28) | *(uint16_t *)(d + 50) << 16);
    off_t at = (off_t)((uint64_t) * (uint32_t *)(d + 40) << 32 | *(uint32_t *)(d + 8)) * block;
    pread(fd, table, used * size, at);
    for (int pass = 0; pass < 2; pass++) {
      for (size_t i = g ? 0 : 10; i < used; i++) {
        uint8_t *inode = table + i * size;
        if (!*(uint16_t *)(inode + 26) || !S_ISREG(*(uint16_t *)inode)) continue;
        struct node *root = (struct node *)(inode + 40);
        uint64_t physical = 0, logical = ~0ull;
        int count = 0;
        if (root->depth == 0) {
          if (pass) count = count_leaf(root, &physical, &logical);
        } else {
          for (int k = 0; k < root->count; k++) {
            if (!pass) posix_fadvise(fd, child(root, k) * block, block, POSIX_FADV_WILLNEED);
            if (!pass) continue;
            pread(fd, leaf, block, child(root, k) * block);
            count += count_leaf((struct node *)leaf, &physical, &logical);
          }
        }
        files += pass;
        fragmented += pass && count > 1;
      }
    }
  }
}

struct bulk_head { uint64_t ino; uint32_t flags, icount, ocount, agno; uint64_t reserved[5]; };
struct bulk_inode { uint64_t before[12]; uint32_t more[5], extents, attr; uint16_t rest[4], mode, pad; uint64_t end[7]; };

static void xfs(const char *path) {
  static struct { struct bulk_head head; struct bulk_inode inodes[2048]; } request;
  int fd = open(path, O_RDONLY);
  request.head.icount = 2048;
  while (!ioctl(fd, _IOR('X', 127, struct bulk_head), &request) && request.head.ocount) {
    for (unsigned i = 0; i < request.head.ocount; i++) {
      if (!S_ISREG(request.inodes[i].mode)) continue;
      files++;
      fragmented += request.inodes[i].extents > 1;
    }
  }
}

static void btrfs(const char *path) {
  enum { BYTES = 1 << 20 };
  int fd = open(path, O_RDONLY);
  struct btrfs_ioctl_search_args_v2 *args = calloc(1, sizeof(*args) + BYTES);
  struct btrfs_ioctl_search_key *key = &args->key;
  uint64_t current = 0, physical = 0, logical = 0;
  unsigned count = 0;
  key->tree_id = 5;
  key->min_objectid = 256;
  key->max_objectid = key->max_offset = key->max_transid = ~0ull;
  key->max_type = 255;
  for (;;) {
    key->nr_items = ~0u;
    args->buf_size = BYTES;
    if (ioctl(fd, BTRFS_IOC_TREE_SEARCH_V2, args) || !key->nr_items) break;
    char *at = (char *)args->buf;
    struct btrfs_ioctl_search_header head;
    for (unsigned i = 0; i < key->nr_items; i++) {
      memcpy(&head, at, sizeof(head));
      struct btrfs_file_extent_item *e = (void *)(at + sizeof(head));
      at += sizeof(head) + head.len;
      if (head.type != BTRFS_EXTENT_DATA_KEY) continue;
      if (head.objectid != current) {
        files += current != 0;
        fragmented += count > 1;
        current = head.objectid;
        count = 0;
      }
      if (e->type == BTRFS_FILE_EXTENT_INLINE || !e->disk_bytenr) continue;
      if (!count || e->disk_bytenr + e->offset != physical || head.offset != logical) count++;
      physical = e->disk_bytenr + e->offset + e->num_bytes;
      logical = head.offset + e->num_bytes;
    }
    key->min_objectid = head.objectid;
    key->min_type = head.type;
    key->min_offset = head.offset + 1;
  }
  files += current != 0;
  fragmented += count > 1;
}

int main(int count, char **words) {
  if (count < 3) return 2;
  if (!strcmp(words[1], "ext4")) ext4(words[2]);
  if (!strcmp(words[1], "xfs")) xfs(words[2]);
  if (!strcmp(words[1], "btrfs")) btrfs(words[2]);
  if (!strcmp(words[1], "walk")) {
    pthread_t threads[64];
    int thread_count = count > 3 ? atoi(words[3]) : 1;
    push(strdup(words[2]));
    for (int i = 1; i < thread_count; i++) pthread_create(&threads[i], 0, walk, 0);
    walk(0);
    for (int i = 1; i < thread_count; i++) pthread_join(threads[i], 0);
  }
  printf("files %lu fragmented %lu\n", files, fragmented);
  return 0;
}
