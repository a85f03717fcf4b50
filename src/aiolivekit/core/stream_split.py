"""Outgoing data streams: which packets a text, a file or a stream of writes becomes (`livekit.DataStream`).

Version 1 is a header, chunks and a trailer. Version 2 puts what is known at once and small into the header, and may
compress it (deflate without a zlib header); both depend on what the recipients understand.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from livekit.protocol import models

from ..errors import StreamTooLargeError

__all__ = [
    "CHUNK_SIZE",
    "PACKET_LIMIT",
    "Abilities",
    "Deflater",
    "StreamSplit",
    "is_worth_deflating",
    "utf8_chunks",
]

CHUNK_SIZE = 15_000
"""Bytes of content in a chunk at most, as in LiveKit's own SDKs."""
PACKET_LIMIT = 15_000
"""Bytes of a header or trailer packet, serialised, at most; likewise."""
_DATA_STREAM_V2 = 2
"""`client_protocol` from which on a client reads content in the header."""
_DEFLATE_RAW = models.ClientInfo.Capability.CAP_COMPRESSION_DEFLATE_RAW

_TINY = 256
"""Bytes below which compression costs more time than it saves."""
_SLICE = 64 * 1024
_SAMPLES = 3
_SAMPLE = 16 * 1024
_WORTH = 0.95
"""Share of its size that a large payload must shrink below, by its samples, to be compressed."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What all recipients of a stream understand.

    Args:
        inline: Content in the header (version 2).
        deflate: Compressed content.
    """

    inline: bool
    deflate: bool

    @classmethod
    def common(cls, recipients: Iterable[tuple[int, Collection[int]]]) -> Abilities:
        """Return what is common to recipients, of whom `client_protocol` and the capabilities are given.

        Nobody is no reason for more than version 1: somebody may be there who is not announced yet.
        """
        known = list(recipients)
        inline = bool(known) and all(protocol >= _DATA_STREAM_V2 for protocol, _ in known)
        return cls(inline, inline and all(_DEFLATE_RAW in capabilities for _, capabilities in known))


class StreamSplit:
    """The packets of one stream, in their order.

    Args:
        header: Its header, with all but its content.
        destinations: Who it is for; everybody if empty. It is on every packet: the server looks at nothing else.
        sender_identity: In whose name it is sent; the server takes this from agents only.
    """

    __slots__ = ("_destinations", "_header", "_id", "_index", "_sender")

    def __init__(
        self, header: models.DataStream.Header, destinations: Sequence[str], sender_identity: str = ""
    ) -> None:
        self._header = header
        self._id = header.stream_id
        self._destinations = list(destinations)
        self._sender = sender_identity
        self._index = 0

    def header(self) -> models.DataPacket:
        """Return the header, for a stream of chunks.

        Raises:
            StreamTooLargeError: If it does not fit into a packet, for its attributes or so many destinations.
        """
        packet = self._packet()
        packet.stream_header.CopyFrom(self._header)
        return _fitting(packet, "header")

    def inline(self, content: bytes, *, compressed: bool) -> models.DataPacket | None:
        """Return the header with the content in it, which is the whole stream; `None` if it does not fit."""
        if len(content) > PACKET_LIMIT:
            return None
        packet = self._packet()
        packet.stream_header.CopyFrom(self._header)
        packet.stream_header.inline_content = content
        if compressed:
            packet.stream_header.compression = models.DataStream.CompressionType.DEFLATE_RAW
        return packet if packet.ByteSize() <= PACKET_LIMIT else None

    def compress(self) -> None:
        """Say in the header that the chunks are compressed."""
        self._header.compression = models.DataStream.CompressionType.DEFLATE_RAW

    def chunk(self, content: bytes) -> models.DataPacket:
        """Return the next chunk, of `CHUNK_SIZE` bytes at most."""
        packet = self._packet()
        chunk = packet.stream_chunk
        chunk.stream_id = self._id
        chunk.chunk_index = self._index
        chunk.content = content
        self._index += 1
        return packet

    def trailer(self, reason: str = "", attributes: Mapping[str, str] | None = None) -> models.DataPacket:
        """Return the trailer.

        Args:
            reason: Why it ends before its time; empty if it is whole.
            attributes: Added to those of the header.

        Raises:
            StreamTooLargeError: If it does not fit into a packet.
        """
        packet = self._packet()
        packet.stream_trailer.stream_id = self._id
        packet.stream_trailer.reason = reason
        if attributes:
            packet.stream_trailer.attributes.update(attributes)
        return _fitting(packet, "trailer")

    def abort(self, reason: str) -> models.DataPacket:
        """Return a trailer that ends the stream before its time; a reason that is too long is not given."""
        try:
            return self.trailer(reason)
        except StreamTooLargeError:
            return self.trailer("aborted")

    def _packet(self) -> models.DataPacket:
        packet = models.DataPacket()
        if self._destinations:
            packet.destination_identities.extend(self._destinations)
        if self._sender:
            packet.participant_identity = self._sender
        return packet


def _fitting(packet: models.DataPacket, what: str) -> models.DataPacket:
    size = packet.ByteSize()
    if size > PACKET_LIMIT:
        raise StreamTooLargeError(f"the {what} of the stream has {size} bytes, the limit is {PACKET_LIMIT}")
    return packet


def utf8_chunks(data: bytes, size: int = CHUNK_SIZE) -> Iterator[bytes]:
    """Cut UTF-8 into chunks of at most `size` bytes (4 or more), none within a character."""
    start, length = 0, len(data)
    while length - start > size:
        end = start + size
        while data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end
    if start < length:
        yield data[start:]


class Deflater:
    """Compresses bytes slice by slice, so that the caller can do other things in between.

    Args:
        small: Whether all there is fits into a slice; then size counts for more than speed.
    """

    __slots__ = ("_deflate",)

    def __init__(self, *, small: bool) -> None:
        self._deflate = zlib.compressobj(6 if small else 1, zlib.DEFLATED, -zlib.MAX_WBITS)

    def slice(self, data: bytes | memoryview) -> bytes:
        """Return what is ready once this is added."""
        return self._deflate.compress(data)

    def finish(self) -> bytes:
        """Return the rest."""
        return self._deflate.flush()

    @classmethod
    def all_of(cls, data: bytes) -> Iterator[bytes]:
        """Compress `data`, a slice for each step; a step may return nothing yet."""
        deflater = cls(small=len(data) <= _SLICE)
        view = memoryview(data)
        for start in range(0, len(data), _SLICE):
            yield deflater.slice(view[start : start + _SLICE])
        yield deflater.finish()


def is_worth_deflating(data: bytes) -> bool:
    """Whether compression may pay: of what is large some samples are tried, what is small is best just tried."""
    if len(data) <= _SLICE:
        return len(data) >= _TINY
    step = (len(data) - _SAMPLE) // (_SAMPLES - 1)
    samples = b"".join(data[index * step : index * step + _SAMPLE] for index in range(_SAMPLES))
    return len(zlib.compress(samples, 1)) < _WORTH * len(samples)
