"""Sends data streams: drives `core.stream_split`."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from livekit.protocol import models

from .._tasks import TaskScope
from ..core.stream_split import (
    CHUNK_SIZE,
    PACKET_LIMIT,
    Abilities,
    Deflater,
    StreamSplit,
    is_worth_deflating,
    utf8_chunks,
)
from ..errors import ClosedError, EngineError, StreamAbortedError, StreamDisconnectedError, StreamError
from .file_blocks import FileBlocks
from .port import PacketPort

__all__ = ["AbilitiesOf", "OutgoingStream", "StreamSender"]

_logger = logging.getLogger("aiolivekit.data")

AbilitiesOf = Callable[[Sequence[str]], Abilities]
"""Returns what all of these participants understand; of everybody if none is named."""

_PLAIN_BYTES = 60_000
"""What of a stream goes with all other packets, bytes. Only a larger one yields to them: a line of chat is no bulk."""

_BREATH = 16
"""Chunks after which other tasks have a turn, though the engine could take more."""


class OutgoingStream:
    """A stream that is being sent: its header is on the way.

    Args:
        sender: Sends its packets.
        split: Makes them.
        destinations: Who it is for; everybody if empty.
    """

    def __init__(self, sender: StreamSender, split: StreamSplit, destinations: Sequence[str]) -> None:
        self._sender = sender
        self._split = split
        self._destinations = frozenset(destinations)
        self._gone: set[str] = set()
        self._lock = asyncio.Lock()
        self._breath = 0
        self._volume = 0
        self.closed = False
        self.error: StreamError | None = None
        """Why it cannot go on."""

    def check(self) -> None:
        """Raise if nothing more can be sent.

        Raises:
            StreamError: If it cannot go on.
            ClosedError: If it was closed.
        """
        self._check_error()
        if self.closed:
            raise ClosedError("the stream is closed")

    @property
    def _bulk(self) -> bool:
        """Plain packets go before bulk ones: once bulk, the rest of the stream has to be, for the order."""
        return self._volume > _PLAIN_BYTES

    def _check_error(self) -> None:
        if self.error is not None:
            raise self.error.with_traceback(None)

    async def send(self, chunk: bytes) -> None:
        """Send a chunk of `CHUNK_SIZE` bytes at most; for one task at a time.

        Raises:
            StreamError: If it cannot be sent; the stream cannot go on then.
        """
        self._check_error()
        try:
            self._volume += len(chunk)
            await self._sender.publish(self._split.chunk(chunk), bulk=self._bulk)
        except StreamError as error:
            self.break_off(error)
            raise
        self._breath += 1
        if self._breath >= _BREATH:
            self._breath = 0
            await asyncio.sleep(0)

    async def send_all(self, content: bytes) -> None:
        """Send bytes as chunks."""
        for start in range(0, len(content), CHUNK_SIZE):
            await self.send(content[start : start + CHUNK_SIZE])

    async def write(self, chunks: Iterable[bytes]) -> None:
        """Send chunks behind what was written before.

        If the caller is cancelled they are sent all the same: a stream with a hole would be worth nothing.

        Raises:
            StreamError: If they cannot be sent.
            ClosedError: If the stream was closed.
        """
        self.check()
        await self._sender.detached("aiolivekit-stream-write", self._write(chunks))

    async def _write(self, chunks: Iterable[bytes]) -> None:
        async with self._lock:
            for chunk in chunks:
                await self.send(chunk)

    async def finish(self, reason: str = "", attributes: Mapping[str, str] | None = None) -> None:
        """Send the trailer behind what was written; likewise.

        Raises:
            StreamTooLargeError: If it does not fit into a packet; the stream is still open then.
            StreamError: If it cannot be sent.
            ClosedError: If the stream was closed.
        """
        self.check()
        packet = self._split.trailer(reason, attributes)
        self.closed = True
        await self._sender.detached("aiolivekit-stream-end", self._finish(packet))

    async def _finish(self, packet: models.DataPacket) -> None:
        async with self._lock:
            self._sender.forget(self)
            self._check_error()
            await self._sender.publish(packet, bulk=self._bulk)

    def break_off(self, error: StreamError) -> None:
        """It cannot go on. Those who receive it are told, if that can be."""
        if self.error is None:
            self.error = error
            self._sender.forget(self)
            if not isinstance(error, StreamDisconnectedError):
                self._sender.send_later(self._split.abort(str(error)), bulk=self._bulk)

    def abandon(self, reason: str) -> None:
        """Nobody will close it: end it, with a reason for those who receive it."""
        if not self.closed:
            self.closed = True
            self.break_off(StreamAbortedError(reason))

    def left(self, present: Collection[str] | None, identity: str = "") -> None:
        """Somebody left, or only those in `present` are here still."""
        if present is not None:
            self._gone = {each for each in self._destinations & self._sender.known if each not in present}
        elif identity in self._destinations:
            self._gone.add(identity)
        if self._destinations and self._gone >= self._destinations:
            self.break_off(StreamAbortedError("all whom the stream is for have left, or lost their session"))


class StreamSender:
    """The outgoing streams of one visit to a room.

    Args:
        port: Sends packets.
        abilities: Returns what recipients understand.
    """

    def __init__(self, port: PacketPort, abilities: AbilitiesOf) -> None:
        self._port = port
        self._abilities = abilities
        self._scope = TaskScope(self._task_failed)
        self._open: weakref.WeakSet[OutgoingStream] = weakref.WeakSet()
        self._closed = False
        self._interrupted = False
        self.known: frozenset[str] = frozenset()
        """Who was here when our session was lost."""

    # -- streams --

    async def open(
        self, header: models.DataStream.Header, destinations: Sequence[str], sender_identity: str = ""
    ) -> OutgoingStream:
        """Begin a stream whose content comes later.

        Raises:
            StreamTooLargeError: If its header does not fit into a packet.
            StreamError: If it cannot be sent.
        """
        return await self._begin(StreamSplit(header, destinations, sender_identity), destinations)

    async def _begin(self, split: StreamSplit, destinations: Sequence[str]) -> OutgoingStream:
        packet = split.header()
        stream = OutgoingStream(self, split, destinations)
        self._open.add(stream)
        try:
            await self.publish(packet)
        except BaseException as error:
            stream.abandon(_words(error))
            raise
        return stream

    async def send_whole(
        self,
        header: models.DataStream.Header,
        content: bytes,
        destinations: Sequence[str],
        *,
        is_text: bool = False,
        compress: bool = True,
        inline: bool = True,
    ) -> None:
        """Send a stream all of whose content is there.

        Args:
            header: Of the stream; its total is set here.
            content: UTF-8, if it is text.
            destinations: Who it is for; everybody if empty.
            is_text: Whether it must not be cut within a character.
            compress: Whether to compress it if that pays, and all recipients understand it.
            inline: Whether to put it into the header, likewise.

        Raises:
            StreamTooLargeError: If its header does not fit into a packet.
            StreamError: If it cannot be sent.
        """
        header.total_length = len(content)
        split = StreamSplit(header, destinations)
        abilities = self._abilities(destinations)
        inline = inline and abilities.inline
        deflating = None
        packed = b""
        if compress and abilities.deflate and is_worth_deflating(content):
            deflating = Deflater.all_of(content)
            for piece in deflating:
                packed += piece
                if len(packed) > PACKET_LIMIT:
                    break
                await asyncio.sleep(0)
            else:
                if len(packed) >= len(content):
                    deflating = None
        small = packed if deflating is not None else content
        if inline and (packet := split.inline(small, compressed=deflating is not None)) is not None:
            await self.publish(packet)
            return
        if deflating is not None:
            split.compress()
        stream = await self._begin(split, destinations)
        try:
            if deflating is not None:
                await self._send_packed(stream, packed, deflating)
            elif is_text:
                for chunk in utf8_chunks(content):
                    await stream.send(chunk)
            else:
                await stream.send_all(content)
            await stream.finish()
        except BaseException as error:
            stream.abandon(_words(error))
            raise

    async def _send_packed(self, stream: OutgoingStream, packed: bytes, deflating: Iterable[bytes]) -> None:
        for piece in deflating:
            packed += piece
            whole = len(packed) - len(packed) % CHUNK_SIZE
            await stream.send_all(packed[:whole])
            packed = packed[whole:]
            await asyncio.sleep(0)
        await stream.send_all(packed)

    async def send_file(
        self,
        header: models.DataStream.Header,
        path: str | os.PathLike[str],
        destinations: Sequence[str],
        *,
        compress: bool = True,
    ) -> None:
        """Send a file, never more of it in memory than a block; its total is set here.

        Raises:
            OSError: If it cannot be read.
            StreamTooLargeError: If the header does not fit into a packet.
            StreamError: If it cannot be sent, or is shorter than it was when it was opened.
        """
        async with FileBlocks(path) as file:
            header.total_length = file.size
            block = await file.read()
            split = StreamSplit(header, destinations)
            deflater = None
            if compress and self._abilities(destinations).deflate and is_worth_deflating(block):
                deflater = Deflater(small=False)
                split.compress()
            stream = await self._begin(split, destinations)
            try:
                rest = b""
                while block:
                    rest += block if deflater is None else deflater.slice(block)
                    whole = len(rest) - len(rest) % CHUNK_SIZE
                    await stream.send_all(rest[:whole])
                    rest = rest[whole:]
                    block = await file.read()
                if file.left:
                    raise StreamAbortedError("the file became shorter while it was sent")
                await stream.send_all(rest + deflater.finish() if deflater is not None else rest)
                await stream.finish()
            except BaseException as error:
                stream.abandon(_words(error))
                raise

    # -- packets --

    async def publish(self, packet: models.DataPacket, *, bulk: bool = False) -> None:
        """Send a packet.

        Args:
            packet: The packet.
            bulk: Whether it yields to all that is not a part of something large (see `PacketPort.publish_data`).

        Raises:
            StreamDisconnectedError: If the room is disconnected.
            StreamError: If it cannot be sent for another reason, which is its cause.
        """
        if self._closed:
            raise StreamDisconnectedError("the room is disconnected")
        try:
            await self._port.publish_data(packet, bulk=bulk)
        except ClosedError:
            raise StreamDisconnectedError("the room was disconnected in the middle of the stream") from None
        except EngineError as error:
            raise StreamError(str(error)) from error

    def send_later(self, packet: models.DataPacket, *, bulk: bool = False) -> None:
        """Send a packet as soon as it can be, whatever becomes of it."""
        if not self._closed:
            self._scope.spawn("aiolivekit-stream-abort", self.publish(packet, bulk=bulk))

    async def detached(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something to its end, though the caller may be cancelled."""
        task = self._scope.spawn(name, work)
        if task is None:
            raise StreamDisconnectedError("the room is disconnected")
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if task.cancelled() and current is not None and not current.cancelling():
                raise StreamDisconnectedError("the room was disconnected in the middle of the stream") from None
            raise

    def forget(self, stream: OutgoingStream) -> None:
        """The stream is over."""
        self._open.discard(stream)

    def _task_failed(self, name: str, error: BaseException) -> None:
        # Whoever waited for it knows.
        if isinstance(error, (StreamError, ClosedError)):
            _logger.debug("%s: %s", name, error)
        else:
            _logger.error("%s failed", name, exc_info=error)

    # -- who is here --

    def left(self, identity: str) -> None:
        """Somebody left."""
        if not self._interrupted:
            for stream in list(self._open):
                stream.left(None, identity)

    def interrupted(self, present: Collection[str]) -> None:
        """Our session is being replaced; who leaves meanwhile only seems to."""
        if not self._interrupted:
            self._interrupted, self.known = True, frozenset(present)

    def undelivered(self) -> None:
        """Packets that were on their way may be lost: the receivers cannot go on with what is open."""
        for stream in list(self._open):
            stream.break_off(StreamAbortedError("the connection was restarted, a part of the stream may be lost"))

    def recovered(self, present: Collection[str]) -> None:
        """There is a session again."""
        if self._interrupted:
            self._interrupted = False
            for stream in list(self._open):
                stream.left(present)

    def close(self) -> None:
        """The room is disconnected."""
        self._closed = True
        for stream in list(self._open):
            stream.break_off(StreamDisconnectedError("the room was disconnected in the middle of the stream"))

    async def aclose(self) -> None:
        """End what is under way; `close` was called."""
        await self._scope.aclose()


def _words(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "the sender cancelled it"
    # What an error of the operating system says may name a file of the sender's.
    return str(error) if isinstance(error, StreamError) else "the sender could not go on"
