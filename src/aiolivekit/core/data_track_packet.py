"""The packets of data tracks, as bytes (version 0 of the format; `livekit-datatrack/docs/packet-v0.md` in rust-sdks).

Twelve bytes, big-endian: version (3 bits), start of a frame, end of a frame, extensions follow, ten bits reserved;
handle of the track, sequence number of the packet, number of the frame (16 bits each), timestamp at 90 kHz (32 bits).
Extensions begin with their length: with these two bytes, and padding, they fill that many 32-bit words and one more.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

__all__ = [
    "CLOCK_RATE",
    "MAX_FRAME_PACKETS",
    "MTU",
    "DataTrackPacket",
    "FrameEncryption",
    "MalformedPacketError",
    "Packetizer",
    "largest_payload",
]

CLOCK_RATE = 90_000
"""Ticks of the timestamp in a second."""
MTU = 16_000
"""Bytes of a packet at most."""
MAX_FRAME_PACKETS = 128
"""Packets of a frame at most: receivers keep no more."""

_HEADER = Struct("!BxHHHI")
_HEADER_SIZE = _HEADER.size
_WORDS = Struct("!H")
_USER_TIMESTAMP = Struct("!Q")
_VERSION_SHIFT = 5
_START, _FINAL, _EXTENDED = 0x10, 0x08, 0x04
_TAG_PADDING, _TAG_ENCRYPTION, _TAG_USER_TIMESTAMP = 0, 1, 2
_ENCRYPTION_SIZE = 13


class MalformedPacketError(ValueError):
    """What came is no packet of a data track, or of a version that is not known."""


@dataclass(frozen=True, slots=True)
class FrameEncryption:
    """How the payload is encrypted end to end.

    Args:
        key_index: Which key of the sender's ring.
        iv: The initialisation vector, 12 bytes.
    """

    key_index: int
    iv: bytes

    def __repr__(self) -> str:
        return "FrameEncryption()"


@dataclass(slots=True)
class DataTrackPacket:
    """A packet.

    Args:
        start: Whether it is the first of its frame.
        final: Whether it is the last of its frame.
        handle: Of the track: the publisher's on the way to the server, the subscriber's on the way from it.
        sequence: Its number among the packets of the track.
        frame: The number of its frame.
        timestamp: When the frame was made, in ticks of 1/90,000 s from an arbitrary beginning.
        payload: Its part of the frame.
        user_timestamp: What the application says of the frame's time.
        encryption: How the payload is encrypted; `None` for not at all.
    """

    start: bool
    final: bool
    handle: int
    sequence: int
    frame: int
    timestamp: int
    payload: bytes
    user_timestamp: int | None = None
    encryption: FrameEncryption | None = None

    @classmethod
    def parse(cls, data: bytes) -> DataTrackPacket:
        """Return what the bytes say.

        Raises:
            MalformedPacketError: If they say nothing that makes sense.
        """
        if len(data) < _HEADER_SIZE:
            raise MalformedPacketError("shorter than a header")
        flags, handle, sequence, frame, timestamp = _HEADER.unpack_from(data)
        if flags >> _VERSION_SHIFT:
            raise MalformedPacketError("of a later version")
        if not handle:
            raise MalformedPacketError("without a handle")
        start, final = bool(flags & _START), bool(flags & _FINAL)
        if not flags & _EXTENDED:
            return cls(start, final, handle, sequence, frame, timestamp, data[_HEADER_SIZE:])
        if len(data) < _HEADER_SIZE + 2:
            raise MalformedPacketError("without the length of its extensions")
        end = _HEADER_SIZE + 4 * (_WORDS.unpack_from(data, _HEADER_SIZE)[0] + 1)
        if end > len(data):
            raise MalformedPacketError("shorter than its extensions")
        packet = cls(start, final, handle, sequence, frame, timestamp, data[end:])
        packet._read_extensions(data, _HEADER_SIZE + 2, end)
        return packet

    def _read_extensions(self, data: bytes, at: int, end: int) -> None:
        while end - at >= 2:
            tag, size = data[at], data[at + 1]
            if tag == _TAG_PADDING:
                at += 1
                continue
            at += 2
            if size > end - at:
                raise MalformedPacketError("with an extension longer than all of them")
            # An extension may be longer in a later version, and one that is shorter is another one of that tag.
            if tag == _TAG_USER_TIMESTAMP and size >= _USER_TIMESTAMP.size:
                (self.user_timestamp,) = _USER_TIMESTAMP.unpack_from(data, at)
            elif tag == _TAG_ENCRYPTION and size >= _ENCRYPTION_SIZE:
                self.encryption = FrameEncryption(data[at], data[at + 1 : at + _ENCRYPTION_SIZE])
            at += size

    def serialize(self) -> bytes:
        """Return the packet as bytes."""
        extensions = _extensions(self.user_timestamp, self.encryption)
        return _packet(
            self.start, self.final, self.handle, self.sequence, self.frame, self.timestamp, extensions, self.payload
        )


def _packet(
    start: bool, final: bool, handle: int, sequence: int, frame: int, timestamp: int, extensions: bytes, payload: bytes
) -> bytes:
    flags = (_START if start else 0) | (_FINAL if final else 0) | (_EXTENDED if extensions else 0)
    return _HEADER.pack(flags, handle, sequence, frame, timestamp) + extensions + payload


def _extensions(user_timestamp: int | None, encryption: FrameEncryption | None) -> bytes:
    """Return the block of extensions with its length and padding, or nothing if there are none."""
    if user_timestamp is None and encryption is None:
        return b""
    block = b""
    if encryption is not None:
        block += bytes((_TAG_ENCRYPTION, _ENCRYPTION_SIZE, encryption.key_index)) + encryption.iv
    if user_timestamp is not None:
        block += bytes((_TAG_USER_TIMESTAMP, _USER_TIMESTAMP.size)) + _USER_TIMESTAMP.pack(user_timestamp)
    words = (2 + len(block) + 3) // 4
    return _WORDS.pack(words - 1) + block.ljust(4 * words - 2, b"\0")


def largest_payload(user_timestamp: int | None = None, encryption: FrameEncryption | None = None) -> int:
    """Return how many bytes the payload of one packet may have at most."""
    return MTU - _HEADER_SIZE - len(_extensions(user_timestamp, encryption))


class Packetizer:
    """Cuts the frames of one track into packets, and numbers both.

    Args:
        handle: The publisher's handle of the track.
        sequence: The number of the first packet.
        frame: The number of the first frame.
    """

    __slots__ = ("_frame", "_handle", "_sequence")

    def __init__(self, handle: int, sequence: int = 0, frame: int = 0) -> None:
        self._handle = handle
        self._sequence = sequence
        self._frame = frame

    def packets(
        self,
        payload: bytes,
        timestamp: int,
        user_timestamp: int | None = None,
        encryption: FrameEncryption | None = None,
    ) -> list[bytes]:
        """Return the packets of the next frame, in order: one at least, `MAX_FRAME_PACKETS` at most.

        Args:
            payload: The frame.
            timestamp: When it was made; of its ticks the lower 32 bits are sent.
            user_timestamp: What the application says of its time.
            encryption: How it is encrypted.

        Raises:
            ValueError: If it takes more packets than a receiver keeps.
        """
        extensions = _extensions(user_timestamp, encryption)
        room = MTU - _HEADER_SIZE - len(extensions)
        count = -(-len(payload) // room) or 1
        if count > MAX_FRAME_PACKETS:
            raise ValueError(f"a frame has at most {room * MAX_FRAME_PACKETS} bytes")
        handle, frame, sequence, timestamp = self._handle, self._frame, self._sequence, timestamp & 0xFFFFFFFF
        self._frame = (frame + 1) & 0xFFFF
        self._sequence = (sequence + count) & 0xFFFF
        if count == 1:
            return [_packet(True, True, handle, sequence, frame, timestamp, extensions, payload)]
        return [
            _packet(
                index == 0,
                index == count - 1,
                handle,
                (sequence + index) & 0xFFFF,
                frame,
                timestamp,
                extensions,
                payload[index * room : (index + 1) * room],
            )
            for index in range(count)
        ]
