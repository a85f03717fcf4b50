"""Where the next join goes: the server the user named, or one of the regions that it named.

LiveKit Cloud has a list of regions under `/settings/regions` (`livekit-api/src/region.rs` of livekit/rust-sdks,
`RegionUrlProvider.ts` of livekit/client-sdk-js); any server may name some in a leave request. A region that cannot be
reached is passed over until all have been tried. A resume never changes the place: its session lives there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

__all__ = ["DEFAULT_LIFETIME", "RegionRoute", "is_cloud_host", "max_age", "nearest_first", "parse_regions"]

DEFAULT_LIFETIME = 5.0
"""Seconds a list is good for if the server does not say."""
_MAX_LIFETIME = 86_400.0
_MAX_REGIONS = 64
_CLOUD = (".livekit.cloud", ".livekit.run")


class RegionInfo(Protocol):
    """What is used of `livekit.RegionInfo`."""

    @property
    def url(self) -> str:
        """The server of the region."""

    @property
    def distance(self) -> int:
        """How far it is from us, in the server's measure."""


@dataclass(frozen=True, slots=True)
class _Listed:
    url: str
    distance: int


def is_cloud_host(host: str) -> bool:
    """Whether a host is one of LiveKit Cloud's, which have regions."""
    return host.lower().rstrip(".").endswith(_CLOUD)


def max_age(cache_control: str) -> float | None:
    """Return the seconds `max-age` of a `Cache-Control` header says; `None` if it says none."""
    for directive in cache_control.split(","):
        name, _, value = directive.partition("=")
        value = value.strip()
        if name.strip().lower() == "max-age" and value.isascii() and value.isdigit():
            return min(float(value[:10]), _MAX_LIFETIME)
    return None


def nearest_first(regions: Iterable[RegionInfo]) -> tuple[str, ...]:
    """Return the addresses of regions by distance; at the same distance they stay as the server ordered them."""
    found = sorted((each for each in regions if each.url), key=lambda each: each.distance)
    return tuple(dict.fromkeys(each.url for each in found))[:_MAX_REGIONS]


def parse_regions(body: bytes) -> tuple[str, ...]:
    """Read the body of `/settings/regions`; return addresses, nearest first.

    Raises:
        ValueError: If it is no list of regions.
    """
    try:
        settings = json.loads(body)
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError("the list of regions is no JSON") from error
    listed = settings.get("regions") if isinstance(settings, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the list of regions has none")
    return nearest_first(_read(each) for each in listed)


def _read(region: object) -> _Listed:
    if not isinstance(region, dict) or not isinstance(region.get("url"), str):
        raise ValueError("a region has no address")
    distance = region.get("distance", 0)
    # JSON of protobuf has 64-bit numbers as strings.
    text = str(distance)
    return _Listed(region["url"], int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0)


@dataclass(slots=True)
class RegionRoute:
    """Which server to join next.

    Args:
        named: The one the user named.
        has_list: Whether it has a list of regions.
    """

    named: str
    has_list: bool
    _here: str = ""
    _listed: tuple[str, ...] = ()
    _sent_to: tuple[str, ...] = ()
    _failed: set[str] = field(default_factory=set)
    _fresh_until: float = -inf

    def wants_list(self, now: float) -> bool:
        """Whether the list of regions is to be asked for before `next`: something has failed, and it is old."""
        return self.has_list and bool(self._failed) and now >= self._fresh_until

    def learned(self, regions: Sequence[str], lifetime: float, now: float) -> None:
        """Take over a list that was asked for."""
        self._listed = tuple(regions)
        self._fresh_until = now + lifetime

    def sent_to(self, regions: Sequence[str]) -> None:
        """Take note where a leave request says that we should join."""
        if regions:
            self._sent_to = tuple(regions)
            self._failed.clear()

    def next(self) -> str:
        """Return where to join; begin again from the first when nothing else is left."""
        places = self._places()
        if self._failed.issuperset(places):
            self._failed.clear()
        return next(place for place in places if place not in self._failed)

    @property
    def more(self) -> bool:
        """Whether there is a place that has not failed yet."""
        return not self._failed.issuperset(self._places())

    def failed(self, place: str) -> None:
        """Take note that one could not be joined."""
        self._failed.add(place)

    def joined(self, place: str) -> None:
        """Take note that one was joined: it is where to come back to."""
        self._here = place
        self._sent_to = ()
        self._failed.clear()

    def _places(self) -> tuple[str, ...]:
        here = (self._here or self.named,)
        return tuple(dict.fromkeys((*self._sent_to, *here, *self._listed, self.named)))
