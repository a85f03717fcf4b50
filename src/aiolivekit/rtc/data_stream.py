"""Streams of text and bytes."""

from __future__ import annotations

from ..errors import StreamError
from ..room.data_stream import (
    BaseStreamInfo,
    ByteStreamInfo,
    ByteStreamReader,
    ByteStreamWriter,
    TextStreamInfo,
    TextStreamReader,
    TextStreamWriter,
)

__all__ = [
    "BaseStreamInfo",
    "ByteStreamInfo",
    "ByteStreamReader",
    "ByteStreamWriter",
    "StreamError",
    "TextStreamInfo",
    "TextStreamReader",
    "TextStreamWriter",
]
