"""What the local participant can send as data streams."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.stream_header import byte_header, text_header
from ..data.streams import new_stream_id, timestamp_now
from .data_stream import ByteStreamInfo, ByteStreamWriter, TextStreamInfo, TextStreamWriter, byte_info, text_info

if TYPE_CHECKING:
    from ..data.stream_sending import StreamSender
    from ..data.streams import DataStreams

__all__ = ["StreamMethods"]

_OCTETS = "application/octet-stream"


class StreamMethods:
    """Part of `LocalParticipant`.

    For all of these: `destination_identities` says who gets the stream, everybody if it is empty; `topic` by which the
    receivers find its handler; `attributes` are the application's. What does not fit into a header (15,000 bytes with
    topic, attributes and destinations) raises `StreamTooLargeError`, what else goes wrong another `StreamError`.
    """

    _data_streams: DataStreams | None

    @property
    def _stream_sender(self) -> StreamSender:
        assert self._data_streams is not None
        return self._data_streams.sender

    async def stream_text(
        self,
        *,
        destination_identities: Sequence[str] | None = None,
        topic: str = "",
        attributes: Mapping[str, str] | None = None,
        stream_id: str | None = None,
        reply_to_id: str | None = None,
        total_size: int | None = None,
        sender_identity: str | None = None,
        attachments: Sequence[str] = (),
    ) -> TextStreamWriter:
        """Begin a text stream that is written piece by piece; `send_text` is for text that is all there.

        Args:
            destination_identities: Who gets it; everybody if empty.
            topic: By which the receivers find its handler.
            attributes: Of the application's.
            stream_id: Names it; made up if not given.
            reply_to_id: The id of the stream it answers.
            total_size: Kept in `info`; not told to the receivers, as in the official SDK.
            sender_identity: In whose name it is sent; the server allows that to agents only.
            attachments: The ids of byte streams that belong to it.

        Returns:
            What it is written with; to be closed with `aclose`, or used as an asynchronous context manager.

        Raises:
            StreamTooLargeError: If its header does not fit into a packet.
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """
        destinations = list(destination_identities or ())
        header = text_header(
            stream_id or new_stream_id(),
            timestamp_now(),
            topic,
            attributes=attributes,
            reply_to=reply_to_id or "",
            attachments=attachments,
        )
        info = text_info(header)
        info.size = total_size
        return TextStreamWriter(info, await self._stream_sender.open(header, destinations, sender_identity or ""))

    async def send_text(
        self,
        text: str,
        *,
        destination_identities: Sequence[str] | None = None,
        topic: str = "",
        attributes: Mapping[str, str] | None = None,
        reply_to_id: str | None = None,
        compress: bool = True,
        attachments: Sequence[str | os.PathLike[str]] = (),
    ) -> TextStreamInfo:
        """Send a text as a stream: in one packet if it is short and all recipients understand that.

        If the call fails or is cancelled on the way, the receivers get an error.

        Args:
            text: The text.
            destination_identities: Who gets it; everybody if empty.
            topic: By which the receivers find its handler.
            attributes: Of the application's.
            reply_to_id: The id of the stream it answers.
            compress: Whether it is compressed where that pays and all recipients understand it.
            attachments: Files that belong to it. They are sent behind it as byte streams of the same topic, whose ids
                are in `TextStreamInfo.attachments`.

        Raises:
            UnicodeEncodeError: If it has lone surrogates.
            OSError: If an attachment cannot be read.
            StreamTooLargeError: If its header does not fit into a packet.
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """
        destinations = list(destination_identities or ())
        for path in attachments:
            # Before the text says that they come.
            await asyncio.to_thread(os.stat, path)
        files = [new_stream_id() for _ in attachments]
        header = text_header(
            new_stream_id(),
            timestamp_now(),
            topic,
            attributes=attributes,
            reply_to=reply_to_id or "",
            attachments=files,
        )
        content = text.encode()
        await self._stream_sender.send_whole(
            header, content, destinations, is_text=True, compress=compress, inline=not files
        )
        for path, file in zip(attachments, files, strict=True):
            await self.send_file(
                path, topic=topic, destination_identities=destinations, stream_id=file, compress=compress
            )
        return text_info(header)

    async def stream_bytes(
        self,
        name: str,
        *,
        total_size: int | None = None,
        mime_type: str = _OCTETS,
        attributes: Mapping[str, str] | None = None,
        stream_id: str | None = None,
        destination_identities: Sequence[str] | None = None,
        topic: str = "",
    ) -> ByteStreamWriter:
        """Begin a byte stream that is written piece by piece; `send_bytes` is for bytes that are all there.

        Args:
            name: Of the file it may become.
            total_size: How many bytes there will be; if another number comes, the receivers get an error.
            mime_type: Of its content.
            attributes: Of the application's.
            stream_id: Names it; made up if not given.
            destination_identities: Who gets it; everybody if empty.
            topic: By which the receivers find its handler.

        Returns:
            What it is written with; to be closed with `aclose`, or used as an asynchronous context manager.

        Raises:
            StreamTooLargeError: If its header does not fit into a packet.
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """
        header = byte_header(
            stream_id or new_stream_id(),
            timestamp_now(),
            topic,
            name=name,
            mime_type=mime_type,
            total=total_size,
            attributes=attributes,
        )
        stream = await self._stream_sender.open(header, list(destination_identities or ()))
        return ByteStreamWriter(byte_info(header), stream)

    async def send_bytes(
        self,
        data: bytes | bytearray | memoryview,
        *,
        topic: str = "",
        name: str | None = None,
        mime_type: str | None = None,
        destination_identities: Sequence[str] | None = None,
        attributes: Mapping[str, str] | None = None,
        stream_id: str | None = None,
        compress: bool = True,
    ) -> ByteStreamInfo:
        """Send bytes as a stream: in one packet if they are few and all recipients understand that.

        If the call fails or is cancelled on the way, the receivers get an error.

        Args:
            data: The bytes.
            topic: By which the receivers find its handler.
            name: Of the file they may become (`unknown`).
            mime_type: Of the content (`application/octet-stream`).
            destination_identities: Who gets it; everybody if empty.
            attributes: Of the application's.
            stream_id: Names it; made up if not given.
            compress: Whether it is compressed where that pays and all recipients understand it.

        Raises:
            StreamTooLargeError: If its header does not fit into a packet.
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """
        header = byte_header(
            stream_id or new_stream_id(),
            timestamp_now(),
            topic,
            name="unknown" if name is None else name,
            mime_type=_OCTETS if mime_type is None else mime_type,
            attributes=attributes,
        )
        destinations = list(destination_identities or ())
        await self._stream_sender.send_whole(header, bytes(data), destinations, compress=compress)
        return byte_info(header)

    async def send_file(
        self,
        file_path: str | os.PathLike[str],
        *,
        topic: str = "",
        destination_identities: Sequence[str] | None = None,
        attributes: Mapping[str, str] | None = None,
        stream_id: str | None = None,
        compress: bool = True,
    ) -> ByteStreamInfo:
        """Send a file as a byte stream; little of it is in memory at a time.

        If the call fails or is cancelled on the way, the receivers get an error.

        Args:
            file_path: Of the file; the receivers get its last part, and a type guessed from it.
            topic: By which the receivers find its handler.
            destination_identities: Who gets it; everybody if empty.
            attributes: Of the application's.
            stream_id: Names it; made up if not given.
            compress: Whether it is compressed where that pays and all recipients understand it.

        Raises:
            OSError: If it cannot be read.
            StreamTooLargeError: If its header does not fit into a packet.
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """
        path = Path(file_path)
        header = byte_header(
            stream_id or new_stream_id(),
            timestamp_now(),
            topic,
            name=path.name,
            mime_type=mimetypes.guess_type(path.name)[0] or _OCTETS,
            attributes=attributes,
        )
        await self._stream_sender.send_file(header, path, list(destination_identities or ()), compress=compress)
        return byte_info(header)
