"""Where a cell is played: a server behind a fault proxy, and two participants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Self

from livekit.protocol import rtc

import aiolivekit
from aiolivekit import Room, RoomOptions
from aiolivekit.enums import ConnectionState, TrackKind
from aiolivekit.testing import EmbeddedServer, FaultProxy, LiveKitServer, RealServer

from ..e2e import media
from ..e2e.sdk import DEADLINE, Recorder, room_service
from ..patience import comes_true

__all__ = ["Side", "Stage", "within"]

_PING = (1, 3)
"""Interval and timeout in seconds that clients are told, so that a dead connection is noticed soon."""
_SIZE = (160, 120)
_FRAMES = 3
_FLOW_LIMIT = 40.0
"""Seconds: a path that dies while signalling lives is ICE's to give up, which takes it up to half a minute."""
_POLL = 0.01


async def within(seconds: float, condition: Callable[[], bool], what: str) -> None:
    """Wait for something; raises `AssertionError` when it does not come in time."""
    if not await comes_true(condition, seconds, pause=_POLL):
        raise AssertionError(f"not within {seconds:g} s: {what}")


class Side:
    """One of the two participants.

    Args:
        identity: Its identity.
        frequency: Of its tone, in hertz.
        publishes: Whether it has tracks.
    """

    def __init__(self, identity: str, frequency: float, *, publishes: bool) -> None:
        self.identity = identity
        self.publishes = publishes
        self.room = Room()
        self.events = Recorder(self.room)
        self.frequency = frequency
        self.first_sid = ""
        self.back: list[float] = []
        """When it was connected again, by `time.monotonic()`."""
        self._feeding: list[asyncio.Task[None]] = []
        self._sources: list[Any] = []
        self.room.on("reconnected", lambda: self.back.append(time.monotonic()))

    async def join(self, url: str, token: str, options: RoomOptions) -> None:
        """Join the room."""
        await self.room.connect(url, token, options)
        self.first_sid = self.sid

    @property
    def sid(self) -> str:
        """Its sid in the session in force."""
        return self.room.local_participant.sid

    @property
    def connected(self) -> bool:
        """Whether it is connected, and knows of no loss."""
        losses, returns = len(self.events.of("reconnecting")), len(self.events.of("reconnected"))
        return self.room.connection_state == ConnectionState.CONN_CONNECTED and losses == returns

    async def publish(self) -> None:
        """Publish a tone and a colour, if it is to publish at all."""
        if not self.publishes or self._sources:
            return
        audio, video = aiolivekit.AudioSource(media.RATE, 1), aiolivekit.VideoSource(*_SIZE)
        self._sources += [audio, video]
        self._feeding += [
            asyncio.create_task(media.play_tone(aiolivekit, audio, self.frequency)),
            asyncio.create_task(media.show_colours(aiolivekit, video, *_SIZE, [], fps=10)),
        ]
        me = self.room.local_participant
        await me.publish_track(aiolivekit.LocalAudioTrack.create_audio_track("tone", audio))
        await me.publish_track(aiolivekit.LocalVideoTrack.create_video_track("colour", video))

    async def close(self) -> None:
        """Leave."""
        for task in self._feeding:
            task.cancel()
        await asyncio.gather(*self._feeding, return_exceptions=True)
        await self.room.disconnect()
        for source in self._sources:
            await source.aclose()

    # -- what it gets --

    def _track(self, of: Side, kind: int) -> Any:
        remote = self.room.remote_participants.get(of.identity)
        found = list(remote.track_publications.values()) if remote is not None else []
        return next((each.track for each in found if each.kind == kind and each.track is not None), None)

    def gets_tracks_of(self, other: Side) -> bool:
        """Whether it is subscribed to all the other publishes."""
        kinds = (TrackKind.KIND_AUDIO, TrackKind.KIND_VIDEO) if other.publishes else ()
        return all(self._track(other, kind) is not None for kind in kinds)

    async def check_tracks_flow(self, other: Side) -> None:
        """Check that the other's tone is heard and its colour seen."""
        if not other.publishes:
            return
        await within(DEADLINE, lambda: self.gets_tracks_of(other), f"{self.identity} is subscribed to the tracks")

        def pure(sound: Any) -> bool:
            return abs(media.peak_frequency(sound) - other.frequency) < 10

        heard = await media.listen_until(aiolivekit, self._track(other, TrackKind.KIND_AUDIO), 0.3, pure, _FLOW_LIMIT)
        assert pure(heard), f"{self.identity} hears {media.peak_frequency(heard):.0f} Hz"
        stream = aiolivekit.VideoStream(self._track(other, TrackKind.KIND_VIDEO))
        lumas: list[float] = []
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLOW_LIMIT):
                    async for event in stream:
                        lumas.append(media.planes(event.frame.convert(aiolivekit.VideoBufferType.I420))[0])
                        if len(lumas) == _FRAMES:
                            break
        finally:
            await stream.aclose()
        assert len(lumas) == _FRAMES, f"{self.identity} sees {len(lumas)} pictures"
        assert abs(lumas[-1] - 180) < 20, f"{self.identity} sees another colour"

    def view(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return whom it sees in the room, itself included, and their tracks."""
        everybody = [self.room.local_participant, *self.room.remote_participants.values()]
        return {each.identity: (each.sid, frozenset(each.track_publications)) for each in everybody}


class Stage:
    """A server, a proxy and two participants: `struck`, to whom things happen, and `other`.

    Args:
        server: The server, which runs.
        room_name: The room.
        mode: "single" or "dual".
        role: What `struck` does with tracks: "publisher", "subscriber" or "both".
    """

    def __init__(self, server: EmbeddedServer | RealServer, room_name: str, mode: str, role: str) -> None:
        self.room_name = room_name
        self.server = LiveKitServer(server, room_name)
        self.proxy = FaultProxy(self.server.url, ping=_PING)
        self.options = RoomOptions(single_peer_connection=mode == "single")
        self.struck = Side("struck", 600.0, publishes=role != "subscriber")
        self.other = Side("other", 900.0, publishes=role != "publisher")
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self.stack:
            await self.stack.enter_async_context(self.proxy)
            for side in (self.struck, self.other):
                self.stack.push_async_callback(side.close)
                await side.join(self.proxy.url, self.token(side.identity), self.options)
            await within(DEADLINE, self.acquainted, "they see each other")
            self.stack = self.stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.proxy.heal()
        await self.stack.aclose()

    def token(self, identity: str) -> str:
        """Return a token."""
        return self.server.token(identity)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both participants."""
        return self.struck, self.other

    def acquainted(self) -> bool:
        """Whether both are connected, through links that pass messages, and see each other as they are now."""
        alive = self.proxy.connected()
        return all(
            side.connected
            and side.identity in alive
            and (seen := side.room.remote_participants.get(other.identity)) is not None
            and seen.sid == other.sid
            for side, other in (self.sides, self.sides[::-1])
        )

    # -- what scenarios do --

    async def say(self, side: Side, message: rtc.SignalRequest | rtc.SignalResponse) -> None:
        """Say something on a participant's link, once it has one."""
        await within(DEADLINE, lambda: side.identity in self.proxy.connected(), "a signalling connection")
        await self.proxy.say(side.identity, message)

    async def present(self, side: Side) -> None:
        """Wait until the server has a participant, with a link."""

        async def there() -> bool:
            return side.identity in self.proxy.connected() and side.identity in await self.listed()

        async with asyncio.timeout(DEADLINE):
            while not await there():
                await asyncio.sleep(_POLL)

    async def room_service(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call the server's API."""
        return await room_service(self.server, method, body)

    async def listed(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return who is in the room, in the server's words."""
        found = await self.room_service("ListParticipants", {"room": self.room_name})
        return {
            each["identity"]: (each["sid"], frozenset(track["sid"] for track in each.get("tracks", [])))
            for each in found.get("participants", [])
        }

    async def check_views(self) -> None:
        """Check that both see what the server has."""
        listed: Any = None
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE):
                while any(side.view() != listed for side in self.sides):
                    await asyncio.sleep(5 * _POLL)
                    listed = await self.listed()
                return
        raise AssertionError(f"the server has {listed}; {[(side.identity, side.view()) for side in self.sides]}")

    async def server_dies_and_comes_back(self) -> None:
        """Kill the server without a word to anybody, and start it again."""
        server = self.server.server
        if isinstance(server, RealServer):
            server.kill()
            await asyncio.to_thread(server.start)
            return
        # It ends in an orderly way; so that nobody hears of that, everything is cut before.
        refusal, swallowed = self.proxy.refuse(), self.proxy.lose_media()
        await self.proxy.cut()
        self.proxy.cut_media()
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        self.server = LiveKitServer(server, self.room_name)
        self.proxy.upstream = self.server.url
        swallowed.lift()
        refusal.lift()
