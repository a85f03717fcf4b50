"""Data streams as users have them: what is read and written, and what is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from livekit.protocol import models

from ..core.stream_split import CHUNK_SIZE, utf8_chunks
from ..data.stream_receiving import IncomingStream, TextDecoder
from ..data.stream_sending import OutgoingStream
from ..errors import StreamError

__all__ = [
    "STREAM_CHUNK_SIZE",
    "BaseStreamInfo",
    "BaseStreamWriter",
    "ByteStreamInfo",
    "ByteStreamReader",
    "ByteStreamWriter",
    "StreamProgress",
    "TextStreamInfo",
    "TextStreamReader",
    "TextStreamWriter",
]

STREAM_CHUNK_SIZE = CHUNK_SIZE
"""Bytes of a chunk at most."""


@dataclass
class BaseStreamInfo:
    """What is known of a stream.

    Args:
        stream_id: Names it.
        mime_type: Of its content.
        topic: By which its handler was found.
        timestamp: When it was begun, in milliseconds since 1970.
        size: The bytes of its content, if the sender said so beforehand.
        attributes: Of the application's; those of its end are added when it comes.
    """

    stream_id: str
    mime_type: str
    topic: str
    timestamp: int
    size: int | None
    attributes: dict[str, str] | None


@dataclass
class TextStreamInfo(BaseStreamInfo):
    """What is known of a text stream.

    Args:
        attachments: The ids of byte streams that belong to it.
        reply_to_id: The id of the stream it answers; empty for none.
        generated: Whether the text was made by a machine.
    """

    attachments: list[str] = field(default_factory=list)
    reply_to_id: str = ""
    generated: bool = False


@dataclass
class ByteStreamInfo(BaseStreamInfo):
    """What is known of a byte stream.

    Args:
        name: Of the file.
    """

    name: str = ""


def text_info(header: models.DataStream.Header) -> TextStreamInfo:
    """Return what the header of a text stream says."""
    text = header.text_header
    return TextStreamInfo(
        **_base_info(header),
        attachments=list(text.attached_stream_ids),
        reply_to_id=text.reply_to_stream_id,
        generated=text.generated,
    )


def byte_info(header: models.DataStream.Header) -> ByteStreamInfo:
    """Return what the header of a byte stream says."""
    return ByteStreamInfo(**_base_info(header), name=header.byte_header.name)


def _base_info(header: models.DataStream.Header) -> dict[str, Any]:
    return {
        "stream_id": header.stream_id,
        "mime_type": header.mime_type,
        "topic": header.topic,
        "timestamp": header.timestamp,
        "size": header.total_length if header.HasField("total_length") else None,
        "attributes": dict(header.attributes),
    }


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """How far a stream has come.

    Args:
        bytes_processed: Bytes of content so far: those that arrived, of compressed streams those that were read.
        bytes_total: All there will be, if the sender said so.
    """

    bytes_processed: int
    bytes_total: int | None

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; `None` if the sender did not say how much there will be."""
        if self.bytes_total is None:
            return None
        return self.bytes_processed / self.bytes_total if self.bytes_total else 1.0


Info = TypeVar("Info", bound=BaseStreamInfo)
Content = TypeVar("Content", str, bytes)


class _Reader(Generic[Info, Content]):
    def __init__(self, info: Info, stream: IncomingStream) -> None:
        self._info = info
        self._stream = stream
        self._error: StreamError | None = None

    @property
    def info(self) -> Info:
        """What is known of the stream."""
        return self._info

    @property
    def progress(self) -> StreamProgress:
        """How far it has come."""
        return StreamProgress(self._stream.processed, self._stream.total)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Content:
        content = await self._next()
        if content is None:
            raise StopAsyncIteration
        return content

    async def _next(self) -> Content | None:
        raise NotImplementedError

    async def _next_piece(self) -> bytes | None:
        if self._error is not None:
            raise self._error.with_traceback(None)
        piece: bytes | None = None
        try:
            piece = await self._stream.next()
        finally:
            if piece is None and self._stream.attributes:
                self._info.attributes = {**(self._info.attributes or {}), **self._stream.attributes}
        return piece

    def close(self) -> None:
        """Read no further; the rest is not received. Whoever iterates gets the end. Twice is once."""
        self._stream.close()

    async def aclose(self) -> None:
        """The same."""
        self.close()


class TextStreamReader(_Reader[TextStreamInfo, str]):
    """An incoming text stream, to be iterated over; what comes is text as it was written, or parts of it.

    A reader that nobody holds any more is closed.
    """

    def __init__(self, info: TextStreamInfo, stream: IncomingStream) -> None:
        super().__init__(info, stream)
        self._decoder = TextDecoder()

    async def _next(self) -> str | None:
        while True:
            piece = await self._next_piece()
            if piece is None and self._stream.closed:
                return None
            try:
                text = self._decoder.decode(piece)
            except StreamError as error:
                self._error = error
                self.close()
                raise
            if text or piece is None:
                return text or None

    async def read_all(self) -> str:
        """Return all of the text that is not read yet, once it is whole.

        Raises:
            StreamError: If the stream ends otherwise than it should; one of its kinds, by cause.
        """
        return "".join([text async for text in self])


class ByteStreamReader(_Reader[ByteStreamInfo, bytes]):
    """An incoming byte stream, to be iterated over. A reader that nobody holds any more is closed."""

    async def _next(self) -> bytes | None:
        return await self._next_piece()

    async def read_all(self) -> bytes:
        """Return all of the content that is not read yet, once it is whole.

        Raises:
            StreamError: If the stream ends otherwise than it should; one of its kinds, by cause.
        """
        return b"".join([piece async for piece in self])


class BaseStreamWriter(Generic[Info]):
    """An outgoing stream.

    One that is dropped without having been closed ends its stream with an error for those who receive it.
    """

    def __init__(self, info: Info, stream: OutgoingStream) -> None:
        self._info = info
        self._stream = stream
        self._loop = asyncio.get_running_loop()

    @property
    def info(self) -> Info:
        """What is known of the stream."""
        return self._info

    async def aclose(self, *, reason: str = "", attributes: Mapping[str, str] | None = None) -> None:
        """End the stream, behind what was written. A cancelled call ends it all the same.

        Args:
            reason: Why it ends before its time, in words; the readers get an error then. Empty if it is whole.
            attributes: Added to those the stream began with.

        Raises:
            ClosedError: If it is closed already.
            StreamTooLargeError: If the attributes do not fit into a packet; the stream is still open then.
            StreamError: If it cannot be sent.
        """
        await self._stream.finish(reason, attributes)
        if attributes:
            self._info.attributes = {**(self._info.attributes or {}), **attributes}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_exc_info: object) -> None:
        if exc_type is not None:
            self._stream.abandon("the sender could not go on")
        elif not self._stream.closed:
            await self.aclose()

    def __del__(self) -> None:
        if self._stream.closed or self._stream.error is not None:
            return
        # The collector may run in any thread. If the loop is closed, so is the room.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stream.abandon, "the sender abandoned it")


class TextStreamWriter(BaseStreamWriter[TextStreamInfo]):
    """An outgoing text stream."""

    async def write(self, text: str) -> None:
        """Send text; the call waits while the connection takes no more.

        Calls are sent in their order. A cancelled call is sent all the same.

        Args:
            text: The text; it is cut between characters only.

        Raises:
            ClosedError: If the stream is closed.
            UnicodeEncodeError: If it has lone surrogates.
            StreamError: If it cannot be sent; the stream is over then.
        """
        await self._stream.write(utf8_chunks(text.encode()))


class ByteStreamWriter(BaseStreamWriter[ByteStreamInfo]):
    """An outgoing byte stream."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; the call waits while the connection takes no more.

        Calls are sent in their order. A cancelled call is sent all the same.

        Args:
            data: The bytes.

        Raises:
            ClosedError: If the stream is closed.
            StreamError: If it cannot be sent; the stream is over then.
        """
        content = bytes(data)
        await self._stream.write(content[at : at + CHUNK_SIZE] for at in range(0, len(content), CHUNK_SIZE))
