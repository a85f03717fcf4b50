"""Headers of data streams (`livekit.DataStream.Header`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from livekit.protocol import models

__all__ = ["byte_header", "text_header"]

_Header = models.DataStream.Header


def _header(
    stream_id: str, timestamp: int, topic: str, mime_type: str, total: int | None, attributes: Mapping[str, str] | None
) -> _Header:
    header = _Header(stream_id=stream_id, timestamp=timestamp, topic=topic, mime_type=mime_type)
    if total is not None:
        header.total_length = total
    if attributes:
        header.attributes.update(attributes)
    return header


def text_header(
    stream_id: str,
    timestamp: int,
    topic: str,
    *,
    total: int | None = None,
    attributes: Mapping[str, str] | None = None,
    reply_to: str = "",
    attachments: Sequence[str] = (),
) -> _Header:
    """Return the header of a text stream.

    Args:
        stream_id: Names it.
        timestamp: When it begins, in milliseconds since 1970.
        topic: By which its handler is found.
        total: Bytes of its content in UTF-8, uncompressed, if known.
        attributes: Of the application's.
        reply_to: The id of the stream it answers.
        attachments: The ids of byte streams that belong to it.
    """
    header = _header(stream_id, timestamp, topic, "text/plain", total, attributes)
    header.text_header.SetInParent()
    if reply_to:
        header.text_header.reply_to_stream_id = reply_to
    header.text_header.attached_stream_ids.extend(attachments)
    return header


def byte_header(
    stream_id: str,
    timestamp: int,
    topic: str,
    *,
    name: str,
    mime_type: str = "application/octet-stream",
    total: int | None = None,
    attributes: Mapping[str, str] | None = None,
) -> _Header:
    """Return the header of a byte stream; the arguments are those of `text_header`, and a file's name and type."""
    header = _header(stream_id, timestamp, topic, mime_type, total, attributes)
    header.byte_header.SetInParent()
    header.byte_header.name = name
    return header
