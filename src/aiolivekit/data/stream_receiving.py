"""Receives data streams: drives the decisions of `core.stream_table` and `core.stream_join`."""

from __future__ import annotations

import asyncio
import codecs
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal, Protocol

from livekit.protocol import models

from ..core.stream_join import StreamJoin
from ..core.stream_table import Sender, StreamTable
from ..errors import StreamDamagedError, StreamDisconnectedError, StreamError
from ..options import DataStreamOptions

__all__ = ["IncomingStream", "StreamKind", "StreamOpened", "StreamReceiver", "TakeText", "TextDecoder"]

_logger = logging.getLogger("aiolivekit.data")

StreamKind = Literal["text", "bytes"]
TakeText = Callable[[models.DataStream.Header, str, Mapping[str, str], str], None]
"""Takes a whole text: its header, the identity of its sender, the attributes of header and trailer, the text."""
_COMPRESSION = models.DataStream.CompressionType
_UNBROKEN = 1024 * 1024
"""Bytes that are read without giving other tasks a turn."""


class IncomingStream:
    """A stream as its reader has it. One that nobody holds any more is not received further.

    Args:
        receiver: Whose stream it is.
        join: Its content.
    """

    def __init__(self, receiver: StreamReceiver, join: StreamJoin) -> None:
        self._receiver = receiver
        self._join = join
        self._closed = False
        self._unbroken = 0
        # Held by the content and not by us, so that who waits for it is kept, and a reader that was dropped is not.
        self._waiting: list[asyncio.Future[None]] = []
        join.listener = _Waker(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether it was closed before its end."""
        return self._closed

    @property
    def processed(self) -> int:
        """Bytes of content so far: those that arrived, of compressed streams those that were read."""
        return self._join.processed

    @property
    def total(self) -> int | None:
        """Bytes of content that were announced."""
        return self._join.total

    @property
    def attributes(self) -> Mapping[str, str]:
        """Those of the trailer, once it came."""
        return self._join.attributes

    async def next(self) -> bytes | None:
        """Return the next piece of content, waiting for it; `None` at the end, or once closed.

        Raises:
            StreamError: If the stream ended otherwise than it should; what came before is returned first.
        """
        join = self._join
        while True:
            if self._closed:
                return None
            if self._unbroken >= _UNBROKEN:
                self._unbroken = 0
                await asyncio.sleep(0)
                continue
            piece = self._receiver.take(join)
            if piece is not None:
                self._unbroken += len(piece)
                return piece
            if join.over:
                if join.error is not None:
                    raise join.error.with_traceback(None)
                return None
            self._unbroken = 0
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)

    def close(self) -> None:
        """Read no further; who waits gets the end."""
        self._closed = self._closed or not self._join.over
        self._receiver.release(self._join)
        if self._join.listener is not None:
            self._join.listener()

    def __del__(self) -> None:
        # The collector may run in any thread.
        self._receiver.dropped.append(self._join)


class _Waker:
    __slots__ = ("_waiting",)

    def __init__(self, waiting: list[asyncio.Future[None]]) -> None:
        self._waiting = waiting

    def __call__(self) -> None:
        waiting, self._waiting[:] = list(self._waiting), []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class StreamOpened(Protocol):
    """Takes a stream that begins."""

    def __call__(
        self, kind: StreamKind, header: models.DataStream.Header, stream: IncomingStream, sender: str
    ) -> object:
        """Hand it to the application; must not raise."""


class StreamReceiver:
    """The incoming streams of one visit to a room.

    Args:
        options: Their limits.
        is_wanted: Whether there is a handler for a kind and topic; streams that nobody wants are not received.
        opened: Takes those that begin.
    """

    def __init__(
        self, options: DataStreamOptions, is_wanted: Callable[[StreamKind, str], bool], opened: StreamOpened
    ) -> None:
        self._table = StreamTable(options)
        self._is_wanted = is_wanted
        self._opened = opened
        self._has_deadlines = options.idle_timeout is not None
        self._texts: dict[str, tuple[TakeText, int, bool]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False
        self.dropped: list[StreamJoin] = []
        """Streams whose reader was dropped, for the next turn here."""
        self.malformed = 0
        self.unwanted = 0
        self.texts_dropped: Counter[str] = Counter()

    @property
    def table(self) -> StreamTable:
        """The streams there are."""
        return self._table

    def on_text(self, topic: str, take: TakeText, limit: int, *, rest: bool = False) -> None:
        """Take whole texts of a topic.

        Args:
            topic: Of the text streams.
            take: Takes each text.
            limit: Bytes of a text at most.
            rest: Whether a user's handler goes first, and only what has none comes here.
        """
        self._texts[topic] = (take, limit, rest)

    # -- packets --

    def header(self, header: models.DataStream.Header, sender: Sender, encryption: int = 0) -> None:
        """Take a header."""
        self._collect()
        content = header.WhichOneof("content_header")
        if self._closed or content is None or header.compression not in (_COMPRESSION.NONE, _COMPRESSION.DEFLATE_RAW):
            self.malformed += not self._closed
            return
        kind: StreamKind = "text" if content == "text_header" else "bytes"
        whole = self._texts.get(header.topic) if kind == "text" else None
        if whole is not None and whole[2] and self._is_wanted(kind, header.topic):
            whole = None
        if whole is None and not self._is_wanted(kind, header.topic):
            self.unwanted += 1
            _logger.debug("a %s stream of the topic %r is ignored, it has no handler", kind, header.topic)
            return
        inline = header.inline_content if header.HasField("inline_content") else None
        if whole is not None and inline is not None and self._take_at_once(whole[0], whole[1], header, inline, sender):
            return
        join = StreamJoin(
            header.total_length if header.HasField("total_length") else None,
            compressed=header.compression == _COMPRESSION.DEFLATE_RAW,
            max_bytes=self._table.max_payload if whole is None else min(whole[1], self._table.max_payload),
            overhead=header.ByteSize() - (len(inline) if inline is not None else 0),
        )
        if inline is not None:
            join.inline(inline)
        if not self._table.open(
            sender,
            header.stream_id,
            join,
            self._loop.time(),
            encryption=encryption,
            # The server says so of texts of agents in another's name.
            for_another=header.text_header.generated,
        ):
            _logger.debug("a stream of %r was refused: it has too many open, or this one already", sender.identity)
            return
        if whole is None:
            self._opened(kind, header, IncomingStream(self, join), sender.identity)
        else:
            collector = _WholeText(self, join, header, sender.identity, whole[0])
            join.listener = collector.look
            collector.look()
        self._notify(self._table.relieve())
        if self._timer is None and self._has_deadlines:
            # A timer there is goes off before this stream is due.
            self._arm()

    def _take_at_once(
        self, take: TakeText, limit: int, header: models.DataStream.Header, inline: bytes, sender: Sender
    ) -> bool:
        """Hand over a text that is all in its header, as those of calls are; what is odd about one is not for here.

        Returns:
            Whether it was handed over.
        """
        size = len(inline)
        if (
            header.compression != _COMPRESSION.NONE
            or size > min(limit, self._table.max_payload)
            or (header.HasField("total_length") and header.total_length != size)
        ):
            return False
        try:
            text = inline.decode()
        except UnicodeDecodeError:
            return False
        _tell(take, header, sender.identity, dict(header.attributes), text)
        return True

    def chunk(self, chunk: models.DataStream.Chunk, sender: Sender, encryption: int = 0) -> None:
        """Take a chunk."""
        if self.dropped:
            self._collect()
        now = self._loop.time()
        self._notify(self._table.chunk(sender, chunk.stream_id, chunk.chunk_index, chunk.content, now, encryption))

    def trailer(self, trailer: models.DataStream.Trailer, sender: Sender) -> None:
        """Take a trailer."""
        self._collect()
        self._notify(self._table.trailer(sender, trailer.stream_id, trailer.reason, trailer.attributes))

    # -- reading --

    def take(self, join: StreamJoin) -> bytes | None:
        """Return the next piece of a stream, if there is one."""
        return self._table.take(join)

    def release(self, join: StreamJoin) -> None:
        """Nobody reads the stream any more."""
        self._table.release(join)

    def _collect(self) -> None:
        while self.dropped:
            self._table.release(self.dropped.pop())

    # -- who is here, and when --

    def left(self, sender: Sender, *, returning: bool) -> None:
        """A participant left."""
        self._notify(self._table.left(sender, self._loop.time(), returning=returning))
        self._arm()

    def interrupted(self) -> None:
        """Our session is being replaced."""
        self._table.interrupted()

    def recovered(self, present: Collection[Sender]) -> None:
        """There is a session again."""
        self._notify(self._table.recovered(present, self._loop.time()))
        self._arm()

    def close(self) -> None:
        """The room is disconnected: streams that are not whole end with an error."""
        if self._closed:
            return
        self._closed = True
        self._notify(
            self._table.close(StreamDisconnectedError("the room was disconnected in the middle of the stream"))
        )
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _notify(self, streams: Iterable[StreamJoin]) -> None:
        for stream in streams:
            if stream.listener is not None:
                stream.listener()

    def _arm(self) -> None:
        if self._closed or (at := self._table.deadline) is None:
            return
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._collect()
        self._notify(self._table.poll(self._loop.time()))
        self._arm()


def _tell(take: TakeText, header: models.DataStream.Header, sender: str, attributes: dict[str, str], text: str) -> None:
    try:
        take(header, sender, attributes, text)
    except Exception:
        _logger.exception("a text of the topic %r could not be taken", header.topic)


class _WholeText:
    """Waits for the end of a text, and hands it over."""

    def __init__(
        self, receiver: StreamReceiver, join: StreamJoin, header: models.DataStream.Header, sender: str, take: TakeText
    ) -> None:
        self._receiver = receiver
        self._join = join
        self._header = header
        self._sender = sender
        self._take = take

    def look(self) -> None:
        """There may be news of it."""
        join = self._join
        if not join.ended or join.listener is None:
            return
        join.listener = None
        pieces = []
        while (piece := self._receiver.take(join)) is not None:
            pieces.append(piece)
        try:
            if join.error is not None:
                raise join.error
            text = b"".join(pieces).decode()
        except (StreamError, UnicodeDecodeError) as error:
            topic = self._header.topic
            self._receiver.texts_dropped[topic] += 1
            _logger.warning("a text of the topic %r from %r was dropped: %s", topic, self._sender, error)
            return
        _tell(self._take, self._header, self._sender, {**self._header.attributes, **join.attributes}, text)


class TextDecoder:
    """Turns pieces of UTF-8 into text, wherever they are cut."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def decode(self, piece: bytes | None) -> str:
        """Return the text that is complete with this piece; `None` is the end.

        Raises:
            StreamDamagedError: If it is not UTF-8.
        """
        try:
            return self._decoder.decode(piece or b"", final=piece is None)
        except UnicodeDecodeError:
            raise StreamDamagedError("the text of the stream is not UTF-8") from None
