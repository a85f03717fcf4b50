"""The list of regions of a server that has one, asked for when the server itself cannot be joined."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import ClassVar
from weakref import WeakKeyDictionary

from yarl import URL

from .._tasks import finish_despite_cancel
from ..core.regions import DEFAULT_LIFETIME, is_cloud_host, max_age, parse_regions
from ..errors import ConnectError, InvalidUrlError
from ..options import SignalOptions
from .dialer import Dialer
from .url import Endpoints

__all__ = ["REGIONS_TIMEOUT", "RegionList", "has_regions", "usable_regions"]

_logger = logging.getLogger("aiolivekit.signalling")

REGIONS_TIMEOUT = 3.0
"""Seconds the list of regions may take; what is done with it is only the second best anyway."""
_MAX_BODY = 64 * 1024

_Answer = tuple[tuple[str, ...], float]
"""Addresses, and for how many seconds they are good."""


def has_regions(url: str, options: SignalOptions) -> bool:
    """Whether the server of a URL has a list of regions, by its host."""
    rule = options.has_regions or is_cloud_host
    try:
        return rule(URL(Endpoints.of(url).websocket).host or "")
    except InvalidUrlError:
        return False


def usable_regions(named: str, regions: Iterable[str]) -> tuple[str, ...]:
    """Return the regions we would give our token to, in their order.

    One that is the server named is written as the user wrote it; one that would have the token travel in the clear
    where the user chose otherwise is left out, as is what is no address.
    """
    own = Endpoints.of(named)
    found: dict[str, None] = {}
    for region in regions:
        try:
            endpoints = Endpoints.of(region)
        except InvalidUrlError:
            _logger.debug("a region has an address that cannot be used")
            continue
        if own.websocket.startswith("wss:") and not endpoints.websocket.startswith("wss:"):
            _logger.debug("a region does without TLS; it is not used")
            continue
        found[named if endpoints.websocket == own.websocket else region] = None
    return tuple(found)


class _Asking:
    """A question that is on its way, for all who want to know."""

    def __init__(self, task: asyncio.Task[_Answer | None]) -> None:
        self.task = task
        self.waiting = 0


class RegionList:
    """The lists of regions that are known in one event loop, by server.

    Those who want the same list at the same time ask for it once. A list that is old is used on when there is no new
    one.
    """

    _of_loops: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, RegionList]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[str, ...], float]] = {}
        self._asking: dict[str, _Asking] = {}

    @classmethod
    def of_loop(cls) -> RegionList:
        """Return that of the running loop."""
        return cls._of_loops.setdefault(asyncio.get_running_loop(), cls())

    async def get(self, url: str, token: str, options: SignalOptions) -> tuple[tuple[str, ...], float]:
        """Return the regions of a server, nearest first, and for how many seconds they are good.

        There are none if the server does not tell in time; the reason is logged, and nothing is raised.
        """
        clock = asyncio.get_running_loop().time
        # The list is at the root, whatever path the server's other endpoints are under.
        base = str(URL(Endpoints.of(url).websocket).origin())
        regions, until = self._known.get(base, ((), clock()))
        if clock() < until:
            return regions, until - clock()
        answer = await self._ask_once(base, token, options)
        if answer is None:
            return regions, DEFAULT_LIFETIME
        regions, lifetime = answer
        self._known[base] = (regions, clock() + lifetime)
        return regions, lifetime

    async def _ask_once(self, base: str, token: str, options: SignalOptions) -> _Answer | None:
        asking = self._asking.get(base)
        if asking is None:
            loop = asyncio.get_running_loop()
            asking = _Asking(loop.create_task(_ask(base, token, options), name="aiolivekit-regions"))
            self._asking[base] = asking
        asking.waiting += 1
        try:
            return await asyncio.shield(asking.task)
        finally:
            asking.waiting -= 1
            if not asking.waiting:
                if self._asking.get(base) is asking:
                    del self._asking[base]
                if not asking.task.done():
                    # Nobody wants to know any more.
                    asking.task.cancel()
                    await asyncio.wait([asking.task])


async def _ask(base: str, token: str, options: SignalOptions) -> _Answer | None:
    url = URL(base)
    scheme = "https" if url.scheme == "wss" else "http"
    address = url.with_scheme(scheme).with_path("/settings/regions")
    try:
        dialer = Dialer(token, options)
    except ConnectError as error:
        _logger.warning("the regions could not be asked for: %s", error)
        return None
    try:
        response = await dialer.get(address, REGIONS_TIMEOUT, _MAX_BODY)
    finally:
        await finish_despite_cancel(dialer.aclose())
    if response is None or response.status != HTTPStatus.OK:
        status = "no answer" if response is None else response.status
        _logger.warning("the server did not tell its regions (%s)", status)
        return None
    try:
        regions = parse_regions(response.body)
    except ValueError as error:
        _logger.warning("%s", error)
        return None
    lifetime = max_age(response.cache_control)
    return regions, DEFAULT_LIFETIME if lifetime is None else lifetime
