"""How a connect has to fail, and servers that make it fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from aiolivekit import errors
from aiolivekit.options import SignalOptions
from aiolivekit.signalling import SignalClient
from aiolivekit.signalling.link import LinkClosed

from ...leaks import no_leaks
from .servers import DEADLINE, TOKEN, Recorder

__all__ = ["IMPATIENT", "Reader", "Writer", "close_after_request", "fails", "refuse", "silent"]

IMPATIENT = SignalOptions(connect_timeout=0.3, join_timeout=0.3, validate_timeout=0.3)
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def fails(
    url: str,
    kind: type[errors.ConnectError],
    *,
    token: str = TOKEN,
    options: SignalOptions | None = None,
    or_: type[errors.ConnectError] | None = None,
    **kwargs: Any,
) -> errors.ConnectError:
    """Connecting must raise exactly that error, tell no secret and no address, and leave nothing behind."""
    if options is None:
        options = IMPATIENT if kind is errors.ConnectTimeoutError else SignalOptions()
    sink = Recorder()
    async with no_leaks(), asyncio.timeout(DEADLINE):
        with pytest.raises(errors.ConnectError) as caught:
            await SignalClient.connect(url, token, options, sink, **kwargs)
    assert type(caught.value) in (kind, or_), repr(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        words = f"{error} {error!r} {error.args}"
        assert isinstance(error, errors.ConnectError | LinkClosed | TimeoutError | asyncio.CancelledError), words
        assert token not in words
        assert "join_request" not in words
        assert "127.0.0.1" not in words
        error = error.__cause__ or error.__context__
    assert sink.messages == []
    assert sink.closed == []
    return caught.value


def refuse(status: int, words: str, **headers: str) -> Callable[[web.Request], web.Response]:
    return lambda request: web.Response(status=status, text=words, headers=headers)


async def silent(reader: Reader, writer: Writer) -> None:
    await reader.read()


async def close_after_request(reader: Reader, writer: Writer) -> None:
    await reader.readuntil(b"\r\n\r\n")
