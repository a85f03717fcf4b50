"""Where to join and with which token: of both, what is newest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..core.regions import RegionRoute
from ..errors import (
    ConnectError,
    InvalidTokenError,
    InvalidUrlError,
    PermissionDeniedError,
    RoomNotFoundError,
    ServerLeaveError,
    TokenExpiredError,
    TokenSourceError,
)
from ..options import EngineOptions, TokenNeed, TokenSource
from ..signalling.regions import RegionList, has_regions, usable_regions

__all__ = ["Access"]

_logger = logging.getLogger("aiolivekit.engine")

T = TypeVar("T")

_SAME_EVERYWHERE = (
    InvalidTokenError,
    InvalidUrlError,
    PermissionDeniedError,
    RoomNotFoundError,
    ServerLeaveError,
    TokenSourceError,
)
"""What no other region would answer differently."""


class Access:
    """The server and the token of one visit.

    Args:
        url: The server that the user named.
        token: The token that the user gave.
        options: Of the engine.
        renewed: Told of each token that the application's source gave.
    """

    def __init__(self, url: str, token: str, options: EngineOptions, renewed: Callable[[str], None]) -> None:
        self._named = url
        self._token = token
        self._options = options
        self._renewed = renewed
        self._route = RegionRoute(url, has_regions(url, options.signal))
        self._joined = False
        self._elsewhere = False

    @property
    def token(self) -> str:
        """The newest token: of the user, of the server, or of the source."""
        return self._token

    def told_token(self, token: str) -> None:
        """Take over a token of the server."""
        if token:
            self._token = token

    def sent_to(self, regions: tuple[str, ...]) -> None:
        """Take note where a leave request says that we should join."""
        self._route.sent_to(usable_regions(self._named, regions) if regions else ())

    @property
    def elsewhere(self) -> bool:
        """Whether what the last attempt to join failed of can be tried in a place that has not been tried yet."""
        return self._elsewhere

    # -- attempts --

    async def join(self, attempt: Callable[[str, str], Awaitable[T]]) -> T:
        """Make an attempt to join, with the server and the token that it is given.

        Raises:
            ConnectError: The attempt's own, or `TokenSourceError`.
        """
        place = self._route.next()
        self._elsewhere = False
        try:
            result = await self.with_token(lambda token: attempt(place, token))
        except ConnectError as error:
            if isinstance(error, ServerLeaveError):
                self.sent_to(error.regions)
            elif not isinstance(error, _SAME_EVERYWHERE):
                await self._look_elsewhere(place)
            raise
        self._route.joined(place)
        self._joined = True
        return result

    async def _look_elsewhere(self, failed: str) -> None:
        now = asyncio.get_running_loop().time
        self._route.failed(failed)
        if self._route.wants_list(now()):
            regions, lifetime = await RegionList.of_loop().get(self._named, self._token, self._options.signal)
            self._route.learned(usable_regions(self._named, regions), lifetime, now())
        self._elsewhere = self._route.more

    async def with_token(self, attempt: Callable[[str], Awaitable[T]]) -> T:
        """Make an attempt with the newest token; if the server refuses it, and there is a fresh one, again with that.

        Raises:
            ConnectError: The attempt's own, or `TokenSourceError`.
        """
        try:
            return await attempt(self._token)
        except InvalidTokenError as error:
            refused = error
        await self._renew(refused)
        return await attempt(self._token)

    async def _renew(self, refused: InvalidTokenError) -> None:
        source = self._options.token_source
        expired = isinstance(refused, TokenExpiredError)
        if source is None or not (expired or self._joined):
            # A token that never got us in is the caller's to correct, unless time alone has spoiled it.
            raise refused
        old = self._token
        token = await _ask(source, "expired" if expired else "reconnect", self._options.token_timeout)
        if not isinstance(token, str) or not token or token == old:
            raise TokenSourceError("the token source gave no other token than the one that was refused")
        _logger.info("the token source gave a fresh token")
        self._token = token
        self._renewed(token)


async def _ask(source: TokenSource, need: TokenNeed, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await source(need)
    except Exception as error:
        # What it says may hold anything, keys among it.
        words = f"exceeded its limit of {seconds:g} s" if limit.expired() else f"failed ({type(error).__name__})"
        raise TokenSourceError(f"the token source {words}") from error
