"""Takes the message descriptors out of an official `livekit` package, for `src/aiolivekit/_vendor/livekit_ffi`.

`python -m tests.compat.take_descriptors [FILE]` reads those of the installed package, as they are in its generated
modules, and writes them as one serialized `FileDescriptorSet`, in the order in which they need one another.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import aiolivekit

TARGET = Path(aiolivekit.__file__).parent / "_vendor" / "livekit_ffi" / "descriptors.binpb"


def taken() -> bytes:
    """Return the descriptors of the installed package's messages."""
    # Not livekit.rtc itself: its messages alone load without the native library.
    package = importlib.import_module("livekit.rtc._proto")
    folder = Path(next(iter(package.__path__)))
    files: dict[str, bytes] = {}
    for path in sorted(folder.glob("*_pb2.py")):
        module = importlib.import_module(f"livekit.rtc._proto.{path.stem}")
        files[module.DESCRIPTOR.name] = module.DESCRIPTOR.serialized_pb
    found = FileDescriptorSet()
    waiting = {name: FileDescriptorProto.FromString(data) for name, data in files.items()}
    added: set[str] = set()
    while waiting:
        ready = next(name for name, file in waiting.items() if added.issuperset(file.dependency))
        found.file.append(waiting.pop(ready))
        added.add(ready)
    return found.SerializeToString(deterministic=True)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_bytes(taken())
    print(f"{target.stat().st_size:,} bytes")
