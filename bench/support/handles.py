#!/usr/bin/env python3
"""Prints the handles of all files below a directory as JSON, in the order of their inodes."""
import ctypes
import json
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("type", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]


found = []
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        handle, mount = Handle(128), ctypes.c_int()
        if libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0) != 0:
            raise OSError(ctypes.get_errno(), path)
        found.append((os.lstat(path).st_ino, bytes([handle.type]).hex() + bytes(handle.bytes[:handle.size]).hex()))
print(json.dumps([handle for _, handle in sorted(found)]))
