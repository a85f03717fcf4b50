"""One incoming data stream: takes its packets, gives its content (`livekit.DataStream`).

What is compressed stays so until it is read, and is inflated in small pieces: a stream takes up no more memory than
the bytes that arrived.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable

from ..errors import StreamAbortedError, StreamDamagedError, StreamError, StreamTooLargeError

__all__ = ["PIECE", "STREAM_OVERHEAD", "StreamJoin"]

PIECE = 64 * 1024
"""Bytes that are inflated in one go."""
STREAM_OVERHEAD = 2048
"""Bytes that a stream takes up beside its content and attributes."""
_INFLATE_OVERHEAD = 48 * 1024
_CHUNK_OVERHEAD = 64
_SLACK = 128 * 1024
"""Bytes that what is compressed may be larger than it should."""


class StreamJoin:
    """An incoming stream.

    What came before an error is given out first, then the error is known.

    Args:
        total: The bytes of content announced, if they were.
        compressed: Whether the content is compressed (deflate without a zlib header).
        max_bytes: Bytes of content taken at most.
        overhead: Bytes it takes up for what came with its header.
    """

    __slots__ = (
        "_end",
        "_inflate",
        "_max",
        "_more",
        "_next",
        "_pieces",
        "attributes",
        "duplicates",
        "error",
        "held",
        "listener",
        "over",
        "processed",
        "total",
    )

    def __init__(self, total: int | None, *, compressed: bool, max_bytes: int, overhead: int = 0) -> None:
        self.total = total
        self._max = max_bytes
        self._pieces: deque[bytes] = deque()
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if compressed else None
        self._more = False
        self._next = 0
        self._end: StreamError | bool = False
        """Whether the end is known, and the error that it is."""
        self.held = STREAM_OVERHEAD + overhead + (_INFLATE_OVERHEAD if compressed else 0)
        """Bytes it takes up."""
        self.processed = 0
        """Bytes of content so far: of what is compressed those that were read, of other those that arrived."""
        self.duplicates = 0
        self.error: StreamError | None = None
        """Why it ended otherwise than it should; known once `over`."""
        self.over = False
        """Whether everything was given out."""
        self.attributes: dict[str, str] = {}
        self.listener: Callable[[], None] | None = None
        """Of whoever waits for something new."""
        if total is not None and total > max_bytes:
            self.fail(self._too_large())

    @property
    def ended(self) -> bool:
        """Whether nothing more is taken."""
        return self._end is not False

    # -- in --

    def inline(self, content: bytes) -> None:
        """Take the content that came in the header, which is all there is."""
        self.chunk(0, content)
        self.end()

    def chunk(self, index: int, content: bytes) -> None:
        """Take a chunk."""
        if self._end is not False:
            return
        if index != self._next:
            if index < self._next:
                # Sent again after an interruption.
                self.duplicates += 1
            else:
                self.fail(StreamDamagedError(f"chunk {self._next} of the stream is missing, {index} came"))
            return
        self._next += 1
        if not content:
            return
        if self._inflate is None:
            self.processed += len(content)
            if (error := self._excess()) is not None:
                self.fail(error)
                return
        elif self.held > 2 * self._max + _SLACK:
            # Compression that makes that much of so little is none.
            self.fail(self._too_large(), drop=True)
            return
        self._pieces.append(content)
        self.held += len(content) + _CHUNK_OVERHEAD

    def end(self, reason: str = "") -> None:
        """Take the trailer.

        Args:
            reason: Why it ends before its time; empty if it is whole.
        """
        if self._end is not False:
            return
        if reason:
            self._end = StreamAbortedError(f"the sender ended the stream: {reason}")
        elif self._inflate is None and self.total is not None and self.processed != self.total:
            self._end = self._incomplete()
        else:
            self._end = True
        self._check_over()

    def fail(self, error: StreamError, *, drop: bool = False) -> None:
        """End it here with an error; nothing changes if it has ended before.

        Args:
            error: Why.
            drop: Whether what was not read is dropped, even if the stream had arrived whole.
        """
        if self.over:
            return
        if drop:
            self._pieces.clear()
            self._inflate, self._more, self.held = None, False, 0
            self._end = error
        elif self._end is False:
            self._end = error
        self._check_over()

    # -- out --

    def take(self) -> bytes | None:
        """Return the next piece of content, or `None` if there is none now, or none any more (`over`)."""
        if self._inflate is None:
            if not self._pieces:
                return None
            piece = self._pieces.popleft()
            self.held -= len(piece) + _CHUNK_OVERHEAD
            self._check_over()
            return piece
        try:
            piece = self._inflated(self._inflate)
        except zlib.error:
            self._break(StreamDamagedError("the stream could not be decompressed"))
            return None
        if not piece:
            self._check_over()
            return None
        self.processed += len(piece)
        if (error := self._excess()) is not None:
            self._break(error)
            return None
        return piece

    def _inflated(self, inflate: zlib._Decompress) -> bytes:
        while True:
            rest = inflate.unconsumed_tail
            if not rest and not self._more:
                if not self._pieces:
                    return b""
                if inflate.eof:
                    raise zlib.error
                rest = self._pieces.popleft()
                self.held -= _CHUNK_OVERHEAD
            piece = inflate.decompress(rest, PIECE)
            self.held -= len(rest) - len(inflate.unconsumed_tail)
            # A full piece may leave more behind even when all input is used up.
            self._more = len(piece) == PIECE
            if inflate.unused_data:
                raise zlib.error
            if piece:
                return piece

    # -- the end --

    def _break(self, error: StreamError) -> None:
        """What arrived cannot be read: nothing behind it counts."""
        self.fail(error, drop=True)

    def _check_over(self) -> None:
        if self._end is False or self._pieces or self._more or self.over:
            return
        inflate = self._inflate
        if inflate is not None and inflate.unconsumed_tail:
            return
        self.over = True
        self.held = 0
        error = None if self._end is True else self._end
        if error is None and inflate is not None:
            whole = inflate.eof if self.total is None else self.processed == self.total
            error = None if whole else self._incomplete()
        self.error = error
        self._inflate = None

    def _excess(self) -> StreamError | None:
        if self.processed > self._max:
            return self._too_large()
        if self.total is not None and self.processed > self.total:
            return StreamDamagedError(f"the stream has more than the {self.total} bytes it announced")
        return None

    def _too_large(self) -> StreamError:
        return StreamTooLargeError(f"the stream is larger than {self._max} bytes")

    def _incomplete(self) -> StreamError:
        announced = "" if self.total is None else f" of {self.total}"
        return StreamDamagedError(f"the stream ended after {self.processed} bytes{announced}")
