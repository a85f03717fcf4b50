"""Streams of text and bytes."""

from __future__ import annotations

from ..errors import StreamError
from ..room.data_stream import (
    STREAM_CHUNK_SIZE,
    BaseStreamInfo,
    BaseStreamWriter,
    ByteStreamInfo,
    ByteStreamReader,
    ByteStreamWriter,
    TextStreamInfo,
    TextStreamReader,
    TextStreamWriter,
)

__all__ = [
    "STREAM_CHUNK_SIZE",
    "BaseStreamInfo",
    "BaseStreamWriter",
    "ByteStreamInfo",
    "ByteStreamReader",
    "ByteStreamWriter",
    "StreamError",
    "TextStreamInfo",
    "TextStreamReader",
    "TextStreamWriter",
]
