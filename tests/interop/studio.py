"""What a client can do with media, in more detail than `Client` asks for; for the cells of the media matrix."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from .client import Client, Quality
from .events import DEADLINE
from .films import Film, Frame
from .sounds import Heard, Sound, analyse

ClientT = TypeVar("ClientT", bound=Client)

LISTENING = 0.6
"""Seconds a sound is judged by."""


@dataclass(frozen=True)
class Sent:
    """One encoding of a track as its publisher's statistics have it.

    Args:
        rid: Which layer.
        active: Whether it is sent.
        size: Width and height of the last picture; zeros for sound.
        frames: Pictures sent.
        packets: Packets sent.
        mode: The scalability mode in force, or nothing.
        codec: The mime type of what is sent.
    """

    rid: str
    active: bool
    size: tuple[int, int]
    frames: int
    packets: int
    mode: str
    codec: str


class Studio(ABC, Generic[ClientT]):
    """A client that publishes films and sounds, and records what it sees and hears."""

    def __init__(self, client: ClientT) -> None:
        self.client = client
        self.kind = client.kind
        self.identity = client.identity

    @abstractmethod
    async def publish_film(self, film: Film, *, codec: str, layers: bool = False, screen: bool = False) -> str:
        """Publish a camera or a screen; return the track's sid."""

    @abstractmethod
    async def publish_sound(self, sound: Sound, *, dtx: bool = False, red: bool = False) -> str:
        """Publish a microphone; return the track's sid."""

    @abstractmethod
    async def republish(self, sid: str) -> str:
        """Unpublish a track and publish the same one again, in the same way; return the new sid."""

    @abstractmethod
    async def replace(self, sid: str, new: Film | Sound) -> None:
        """Send something else in place of what a published track carries."""

    @abstractmethod
    async def quieten(self, sid: str, quiet: bool) -> None:
        """Have a sound pause, or go on, without a word to anybody."""

    @abstractmethod
    async def shown(self, sid: str) -> int:
        """The number of the latest picture of a film of ours."""

    @abstractmethod
    async def sent(self, sid: str) -> list[Sent]:
        """What is sent of a track of ours."""

    @abstractmethod
    async def mime(self, sid: str) -> str:
        """What the server says a remote track is, such as `video/vp8`."""

    @abstractmethod
    async def watch(self, sid: str) -> None:
        """From now on record the pictures of a subscribed track; again after each new subscription."""

    @abstractmethod
    async def frames(self, sid: str, since: int = 0) -> list[Frame]:
        """All pictures of a track that were seen, from the `since`th on."""

    @abstractmethod
    async def listen(self, sid: str, seconds: float, channels: int, *, sounding: bool = True) -> np.ndarray:
        """What a subscribed track sounds like (samples, channels): from when it begins to sound, or from now on."""

    # -- what is the same for all --

    async def subscribe(self, sid: str, subscribed: bool = True) -> None:
        await self.client.subscribe(sid, subscribed)

    async def set_quality(self, sid: str, quality: Quality) -> None:
        await self.client.set_quality(sid, quality)

    async def sees(
        self,
        sid: str,
        film: Film,
        fits: Callable[[tuple[int, int]], bool],
        *,
        after: int = 0,
        count: int = 8,
        since: int = 0,
    ) -> list[Frame]:
        """Wait for some pictures on end that are of that film, in the right size, one after the other.

        Args:
            sid: The track.
            film: What is to be seen.
            fits: Whether a size is right; encoders may begin with a smaller one.
            after: The number after which the pictures come.
            count: How many there must be.
            since: The pictures of the record that are looked at.
        """

        def good(frames: Sequence[Frame]) -> bool:
            numbers = [each.number for each in frames]
            right = all(each.is_of(film) and fits(each.size) for each in frames)
            return right and all(
                before is not None and now is not None and before < now
                for before, now in zip([after, *numbers], numbers, strict=False)
            )

        last: list[Frame] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while len(last) < count or not good(last):
                    await asyncio.sleep(0.05)
                    last = (await self.frames(sid, since))[-count:]
        except TimeoutError:
            raise AssertionError(f"{self.identity} ({self.kind}) of {film} after {after} saw {last} last") from None
        return last

    async def hears(self, sid: str, sound: Sound, seconds: float = LISTENING) -> list[Heard]:
        """Listen until a track sounds as it should; a busy machine loses packets, so the best of several windows."""
        heard: list[Heard] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    heard = analyse(await self.listen(sid, seconds, sound.channels))
                    if all(each.is_tone(tone) for each, tone in zip(heard, sound.frequencies, strict=True)):
                        return heard
        except TimeoutError:
            raise AssertionError(f"{self.identity} ({self.kind}) of {sound} heard {heard} last") from None
