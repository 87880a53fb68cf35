#!/usr/bin/env python3
"""Writes files below DIRECTORY in real pieces: fragment.py DIRECTORY ext4|xfs|btrfs many|large COUNT BYTES

Pieces of several files are allocated by turns: fallocate(2) on ext4 and XFS, O_DIRECT appends on Btrfs, whose
copy-on-write allocates in the order of writing. COUNT files; BYTES is the size of each in `large`. Same seed, same
files. Python, since Node.js has no fallocate(2) and the addon belongs to src/kernel."""
import mmap
import os
import random
import sys

BLOCK = 4096
TURNS = 8
directory, kind, profile, count, size = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
rng = random.Random(20_240_601)
buffer = mmap.mmap(-1, 1 << 20)


def content(number, first, blocks):
    return b"".join((b"%015x:%015x\n" % (number, block)) * (BLOCK // 32) for block in range(first, first + blocks))


def cut(blocks, pieces):
    edges = sorted(rng.sample(range(1, blocks), min(pieces, blocks) - 1))
    return list(zip([0] + edges, edges + [blocks]))


def write_direct(fd, number, first, end):
    for at in range(first, end, 256):
        blocks = min(256, end - at)
        buffer[: blocks * BLOCK] = content(number, at, blocks)
        os.pwrite(fd, memoryview(buffer)[: blocks * BLOCK], at * BLOCK)


def make(group):
    """group: (number, path, bytes, pieces of it)."""
    opened = [(number, os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o644), length, list(pieces))
              for number, path, length, pieces in group]
    left = True
    while left:
        left = False
        for number, fd, _, pieces in opened:
            if pieces:
                first, end = pieces.pop(0)
                left = True
                if kind == "btrfs":
                    write_direct(fd, number, first, end)
                else:
                    os.posix_fallocate(fd, first * BLOCK, (end - first) * BLOCK)
    for number, fd, length, _ in opened:
        if kind != "btrfs":
            write_direct(fd, number, 0, -(-length // BLOCK))
        os.ftruncate(fd, length)
        os.close(fd)


def sizes():
    low, high = rng.choices([(8, 32), (32, 128), (128, 256), (256, 1024)], [50, 30, 15, 5])[0]
    return rng.randint(low * 1024, high * 1024)


files = []
for number in range(count):
    folder = os.path.join(directory, "data", "d%02d" % (number % 100))
    os.makedirs(folder, exist_ok=True)
    length = size if profile == "large" else sizes()
    blocks = -(-length // BLOCK)
    if profile == "large":
        pieces, at = [], 0
        while at < blocks:
            end = min(blocks, at + rng.randint(16, 48))
            pieces.append((at, end))
            at = end
    elif rng.random() < 0.3:
        pieces = cut(blocks, rng.randint(2, 16))
    else:
        pieces = [(0, blocks)]
    files.append((number, os.path.join(folder, "f%05d" % number), length, pieces))

fragmented = [one for one in files if len(one[3]) > 1]
for one in files:
    if len(one[3]) == 1:
        make([one])
for at in range(0, len(fragmented), TURNS):
    group = fragmented[at:at + TURNS]
    # A group of one has nobody to take turns with.
    make(group if len(group) > 1 else [(0, os.path.join(directory, "spacer"), group[0][2], group[0][3])] + group)
os.sync()
