"""The messages between the official SDK's Python half and its Rust half, for `rtc._proto`.

Why they are here: programs import some of them (livekit-agents reads `AudioTrackFeature`, and makes a `RoomInfo` for
its mock of a room). Nothing of ours speaks them. They are built in a pool of their own, so that they meet neither the
official package's, of whatever version, nor anybody else's `room.proto`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.internal import builder

from .. import enums, options

__all__ = ["file_descriptor", "fill"]

_SOURCE = Path(__file__).parent.parent / "_vendor" / "livekit_ffi" / "descriptors.binpb"


# What `rtc` offers as well is the same there and here: the Room API's. Two enums have other numbers, or names, there.
_PUBLIC = ({*enums.__all__} - {"ConnectionQuality", "DegradationPreference"}) | {
    "AudioEncoding",
    "FrameMetadata",
    "IceServer",
    "ParticipantTrackPermission",
    "TrackPublishOptions",
    "VideoEncoding",
}


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    return descriptor_pool.DescriptorPool()


@cache
def _files() -> dict[str, FileDescriptorProto]:
    return {file.name: file for file in FileDescriptorSet.FromString(_SOURCE.read_bytes()).file}


@cache
def file_descriptor(name: str) -> FileDescriptor:
    """Return what a `.proto` file declares, put into the pool after the files it needs.

    Raises:
        KeyError: If there is no such file.
    """
    file = _files()[name]
    for needed in file.dependency:
        file_descriptor(needed)
    return _pool().AddSerializedFile(file.SerializeToString())


def fill(names: dict[str, Any], file: str) -> None:
    """Put the messages and enums of a `.proto` file into a module, as protobuf's generated code does.

    Args:
        names: The module's globals.
        file: The name of the file.
    """
    descriptor = file_descriptor(file)
    names["DESCRIPTOR"] = descriptor
    builder.BuildMessageAndEnumDescriptors(descriptor, names)
    builder.BuildTopDescriptorsAndMessages(descriptor, names["__name__"], names)
    for name in _PUBLIC & names.keys():
        names[name] = getattr(enums, name, None) or getattr(options, name)
