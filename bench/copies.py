"""How often a picture is copied on its way from a numpy array to the encoder: `python -m bench.copies`.

A library put before the C library (`LD_PRELOAD`, so on Linux alone, with a C compiler) adds up, thread by thread, the
bytes of large allocations and copies. libyuv converts by instructions of its own, which only the allocation shows.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import machine

__all__ = ["main"]

WIDTH, HEIGHT, FRAMES = 1280, 720, 30
LARGE = 65_536
"""Bytes from which on an allocation or a copy counts; a plane of chroma has 230,400."""
FORMATS = ("I420", "NV12", "I422", "I444", "RGBA", "BGRA", "RGB24", "ARGB", "ABGR")
_RESULT = Path(__file__).resolve().parent.parent / "docs" / "results" / "copies.md"

_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static size_t least = (size_t)-1;
static __thread long mine_allocations, mine_copies;
static long all_allocations, all_copies;

static void *(*real_malloc)(size_t);
static int (*real_memalign)(void **, size_t, size_t);
static void *(*real_memcpy)(void *, const void *, size_t);
static void *(*real_memmove)(void *, const void *, size_t);
extern void *__libc_malloc(size_t);

__attribute__((constructor)) static void find(void) {
    real_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    real_memcpy = dlvsym(RTLD_NEXT, "memcpy", "GLIBC_2.14");
    if (!real_memcpy) real_memcpy = dlsym(RTLD_NEXT, "memcpy");
    real_memmove = dlsym(RTLD_NEXT, "memmove");
}

static void allocated(size_t size) {
    if (size >= least) { mine_allocations += size; __atomic_add_fetch(&all_allocations, size, __ATOMIC_RELAXED); }
}

static void copied(size_t size) {
    if (size >= least) { mine_copies += size; __atomic_add_fetch(&all_copies, size, __ATOMIC_RELAXED); }
}

void *malloc(size_t size) { allocated(size); return __libc_malloc(size); }

int posix_memalign(void **where, size_t alignment, size_t size) {
    allocated(size);
    if (!real_memalign) real_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    return real_memalign(where, alignment, size);
}

void *memcpy(void *to, const void *from, size_t size) {
    copied(size);
    if (real_memcpy) return real_memcpy(to, from, size);
    for (size_t i = 0; i < size; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    copied(size);
    if (real_memmove) return real_memmove(to, from, size);
    if ((char *)to < (const char *)from)
        for (size_t i = 0; i < size; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
    else
        for (size_t i = size; i-- > 0;) ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}

void count_from(size_t size) { least = size; }
void read_counts(long *counts) {
    counts[0] = mine_allocations; counts[1] = mine_copies;
    counts[2] = __atomic_load_n(&all_allocations, __ATOMIC_RELAXED);
    counts[3] = __atomic_load_n(&all_copies, __ATOMIC_RELAXED);
}
"""


@contextmanager
def _shim() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        source, library = Path(directory, "count.c"), Path(directory, "count.so")
        source.write_text(_SOURCE)
        command = ["cc", "-O2", "-shared", "-fPIC", "-fno-builtin", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        yield library


def main() -> int:
    """Count in a process of its own, write the result and show it."""
    with _shim() as library:
        environment = {**os.environ, "LD_PRELOAD": str(library), "BENCH_COUNTER": str(library)}
        command = [sys.executable, "-c", "from bench.copies import child; child()"]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    rows = json.loads(done.stdout.splitlines()[-1])
    text = _table(rows)
    _RESULT.write_text(text)
    print(text)
    return 0


def _table(rows: list[dict[str, Any]]) -> str:
    found = machine.describe()
    lines = [
        "# Copies of a picture, from a numpy array to the encoder",
        "",
        f"`python -m bench.copies`, {found['date'][:10]}, commit {str(found['commit'])[:7]}; {found['python']}, wrtc "
        f"{found['versions']['wrtc']}, {found['system']}.",
        "",
        f"A track of {WIDTH}x{HEIGHT} pictures in VP8, published without simulcast to the dev server. What is",
        f"allocated and copied (`memcpy`, `memmove`) in pieces of {LARGE:,} bytes or more, as a share of the picture:",
        "by the thread that calls `VideoSource.capture_frame`, while it does, and by all other threads.",
        "",
        "| format | `capture_frame`: allocations | `capture_frame`: copies | other threads: allocations | copies |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        counts = " | ".join(
            f"{row[name]:.2f}" for name in ("allocations", "copies", "other_allocations", "other_copies")
        )
        lines.append(f"| {row['format']} | {counts} |")
    lines += [
        "",
        "1.00 is one copy of the picture: it enters libwebrtc's memory, and the encoder gets it by reference. What",
        "an encoder does not take as it is (RGB, 4:2:2, 4:4:4) is converted to I420 once, which allocates and does",
        "not copy; for RGB24, ARGB and ABGR the bytes are put in libwebrtc's order before. What other threads copy",
        "has been encoded: the pictures are noise, so that is much.",
        "",
    ]
    return "\n".join(lines)


def child() -> None:
    """Count, and print the rows as JSON."""
    os.environ["WRTC_ALLOW_LOOPBACK"] = "1"
    print(json.dumps(asyncio.run(_count())))


async def _count() -> list[dict[str, Any]]:
    import aiolivekit as rtc
    from aiolivekit.testing import EmbeddedServer

    counter = ctypes.CDLL(os.environ["BENCH_COUNTER"])
    counter.count_from.argtypes = [ctypes.c_size_t]
    values = (ctypes.c_long * 4)()

    def read() -> list[int]:
        counter.read_counts(values)
        return list(values)

    rows = []
    with EmbeddedServer() as server:
        room = rtc.Room()
        await room.connect(server.url, server.token("publisher", room="copies"))
        for name in FORMATS:
            buffer_type = rtc.VideoBufferType.Value(name)
            size = _size(name)
            pixels = np.random.default_rng(1).integers(0, 255, size, dtype=np.uint8)
            source = rtc.VideoSource(WIDTH, HEIGHT)
            track = rtc.LocalVideoTrack.create_video_track(name, source)
            publication = await room.local_participant.publish_track(track, rtc.TrackPublishOptions(simulcast=False))
            totals = [0, 0, 0, 0]
            for index in range(2 * FRAMES):
                frame = rtc.VideoFrame(WIDTH, HEIGHT, buffer_type, pixels)
                counter.count_from(LARGE)
                before = read()
                source.capture_frame(frame)
                between = read()
                await asyncio.sleep(1 / 15)
                after = read()
                counter.count_from(2**62)
                if index >= FRAMES:  # the encoder has made its buffers by then
                    mine = [now - then for now, then in zip(between[:2], before[:2], strict=True)]
                    every = [now - then for now, then in zip(after[2:], before[2:], strict=True)]
                    own = [now - then for now, then in zip(after[:2], before[:2], strict=True)]
                    others = [now - then for now, then in zip(every, own, strict=True)]
                    totals = [total + each for total, each in zip(totals, [*mine, *others], strict=True)]
            names = ("allocations", "copies", "other_allocations", "other_copies")
            per_frame = {key: total / FRAMES / size for key, total in zip(names, totals, strict=True)}
            rows.append({"format": name, **per_frame})
            await room.local_participant.unpublish_track(publication.sid)
            await source.aclose()
        await room.disconnect()
    return rows


def _size(name: str) -> int:
    area = WIDTH * HEIGHT
    if name in ("I420", "NV12"):
        return area * 3 // 2
    return area * {"I422": 2, "I444": 3, "RGB24": 3}.get(name, 4)


if __name__ == "__main__":
    sys.exit(main())
