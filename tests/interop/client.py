"""The one face of the three clients: commands with plain values, and the record of their events."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .events import DEADLINE, Events

Quality = Literal["low", "medium", "high"]
Scenario = Literal["resume", "restart"]
Colour = tuple[int, int, int]

FPS = 10
LAYERED_FPS = 20
"""Pictures a second, without simulcast and with it: the real server takes a layer of which it gets fewer than five
packets in half a second for stopped."""


FRAME_INTERVAL = 0.03
"""Seconds between two frames of a data track."""


class JoinRefusedError(Exception):
    """The client could not join."""


class RefusedError(Exception):
    """The server, or the client in its name, refused what was asked for."""


class StreamRefusedError(Exception):
    """A stream takes nothing any more."""


class RpcFailedError(Exception):
    """An RPC ended in an error."""

    def __init__(self, code: int, message: str, data: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True)
class Tone:
    """What was heard: the strongest frequency in Hz, and the loudness (root mean square, full scale is 1)."""

    frequency: float
    loudness: float


@dataclass(frozen=True)
class Picture:
    """What was seen: the size in pixels, and the mean colour (red, green, blue) above the moving bar."""

    width: int
    height: int
    colour: tuple[float, float, float]

    def is_colour(self, expected: Colour, tolerance: float = 45) -> bool:
        """Whether the colour is the expected one, as far as cameras' colour spaces and encoders keep it."""
        return all(abs(seen - meant) <= tolerance for seen, meant in zip(self.colour, expected, strict=True))


@dataclass(frozen=True)
class Seen:
    """What a client knows of a participant."""

    sid: str
    metadata: str
    name: str
    attributes: dict[str, str]
    tracks: list[str] = field(default_factory=list)


class Client(ABC):
    """A participant. What it does not do (yet) is in `capabilities.NOT_YET`; tests ask before they begin."""

    kind: str

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.events = Events()

    # -- the room --

    @abstractmethod
    async def join(
        self, url: str, token: str, *, single: bool, auto_subscribe: bool = True, dynacast: bool = False
    ) -> None:
        """Join; raises `JoinRefusedError`."""

    @abstractmethod
    async def leave(self) -> None: ...

    @abstractmethod
    async def close(self) -> None:
        """Leave if need be, and give back what was used."""

    @abstractmethod
    async def peer_connections(self) -> int | None:
        """How many were negotiated; `None` if the client cannot tell."""

    @abstractmethod
    async def me(self) -> Seen: ...

    @abstractmethod
    async def others(self) -> dict[str, Seen]:
        """The others in the room, by identity."""

    @abstractmethod
    async def room_metadata(self) -> str: ...

    @abstractmethod
    async def simulate(self, scenario: Scenario) -> None:
        """Lose the signalling connection, or the whole session."""

    # -- media --

    @abstractmethod
    async def publish_tone(self, frequency: float) -> str:
        """Publish a microphone with a tone in it; return the track's sid. Raises `RefusedError`."""

    @abstractmethod
    async def publish_picture(
        self, colour: Colour, size: tuple[int, int] = (320, 180), *, simulcast: bool = False
    ) -> str:
        """Publish a camera that sees one colour and a bar that moves; return the track's sid."""

    @abstractmethod
    async def unpublish(self, sid: str) -> None: ...

    @abstractmethod
    async def set_muted(self, sid: str, muted: bool) -> None: ...

    @abstractmethod
    async def subscribe(self, sid: str, subscribed: bool = True) -> None: ...

    @abstractmethod
    async def set_quality(self, sid: str, quality: Quality) -> None: ...

    @abstractmethod
    async def allow_subscribers(self, *, everybody: bool, identities: Sequence[str] = ()) -> None:
        """Say who may subscribe to our tracks."""

    @abstractmethod
    async def hear(self, sid: str) -> Tone:
        """Listen to a subscribed track from now on, until a while of it was sound."""

    @abstractmethod
    async def see(self, sid: str) -> Picture:
        """Look at a subscribed track from now on, until some pictures came."""

    async def see_until(self, sid: str, condition: Callable[[Picture], bool]) -> Picture:
        """Look until the picture is as it should be."""
        picture: Picture | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                while picture is None or not condition(picture):
                    picture = await self.see(sid)
        except TimeoutError:
            raise AssertionError(f"{self.identity} ({self.kind}) saw {picture} last") from None
        return picture

    # -- data --

    @abstractmethod
    async def send_data(
        self, data: bytes, *, reliable: bool = True, to: Sequence[str] = (), topic: str = ""
    ) -> None: ...

    @abstractmethod
    async def receive_streams(self, topic: str) -> None:
        """From now on record `text_received` and `bytes_received` for the topic.

        Before them `stream_begun`, and `stream_arriving` with the first piece; `stream_failed` in their place if a
        stream breaks off.
        """

    @abstractmethod
    async def receive_digests(self, topic: str) -> None:
        """From now on record `digest_received` for the topic: the size and the SHA-256 of each stream."""

    @abstractmethod
    async def send_repeated(self, block: bytes, size: int, *, topic: str, to: Sequence[str] = ()) -> str:
        """Send `repeated(block, size)`, made where it is sent; return the stream's id."""

    @abstractmethod
    async def open_stream(self, topic: str, to: Sequence[str] = ()) -> str:
        """Begin a text that is written piece by piece; return its id."""

    @abstractmethod
    async def write_stream(self, stream_id: str, text: str) -> None:
        """Raises `StreamRefusedError`."""

    @abstractmethod
    async def end_stream(self, stream_id: str) -> None:
        """Raises `StreamRefusedError`."""

    @abstractmethod
    async def send_text(
        self, text: str, *, topic: str, to: Sequence[str] = (), attributes: Mapping[str, str] | None = None
    ) -> None: ...

    @abstractmethod
    async def send_bytes(self, data: bytes, *, topic: str, name: str, to: Sequence[str] = ()) -> None: ...

    @abstractmethod
    async def send_chat(self, text: str) -> None:
        """Write to everybody; others record `chat_message_received`."""

    @abstractmethod
    async def press_key(self, code: int, digit: str) -> None:
        """Send a telephone key; others record `sip_dtmf_received`."""

    @abstractmethod
    async def serve_rpc(self, method: str) -> None:
        """Answer `x` with "<caller> said x", and `fail` with the error 1234 "as asked", "details"."""

    @abstractmethod
    async def perform_rpc(self, to: str, method: str, payload: str) -> str:
        """Raises `RpcFailedError`."""

    @abstractmethod
    async def publish_data_track(self, name: str, size: int) -> str:
        """Publish a data track and push numbered frames of that size until it is unpublished; return its sid."""

    @abstractmethod
    async def unpublish_data_track(self, name: str) -> None: ...

    @abstractmethod
    async def receive_data_track(self, sid: str) -> None:
        """From now on record `frame_received` for that track: its number, size and timestamp, and if it is whole."""

    @abstractmethod
    async def stop_receiving(self, sid: str) -> None: ...

    # -- about us --

    @abstractmethod
    async def set_metadata(self, metadata: str) -> None:
        """Raises `RefusedError`, if the client says so."""

    @abstractmethod
    async def set_name(self, name: str) -> None: ...

    @abstractmethod
    async def set_attributes(self, attributes: dict[str, str]) -> None: ...


def repeated(block: bytes, size: int) -> bytes:
    """Repeat a block, each time with its bytes changed, so that nothing is the same again."""
    rounds = -(-size // len(block))
    return b"".join(block.translate(bytes(value ^ number & 255 for value in range(256))) for number in range(rounds))[
        :size
    ]


async def eventually(question: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Ask again until the answer is true; for what has no event of its own."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not (answer := await question()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None
    return answer
