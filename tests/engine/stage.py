"""Two rooms on an embedded server, short limits, numbered messages and a track: what the tests of the chains share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import aiolivekit
from aiolivekit.core import negotiation
from aiolivekit.enums import ConnectionState, DisconnectReason
from aiolivekit.options import EngineOptions, RoomOptions
from aiolivekit.room import room as room_module
from aiolivekit.room.engine_options import engine_options_of
from aiolivekit.testing import EmbeddedServer

from ..e2e.sdk import Recorder
from ..patience import comes_true
from ..unit.engine.scripted import Soon

__all__ = ["DEADLINE", "Stage", "hurried", "on_stage", "until"]

CONNECTED = ConnectionState.CONN_CONNECTED
DEADLINE = 20.0
"""Seconds any one thing may take; the machine may be busy."""


def hurried(monkeypatch: pytest.MonkeyPatch, *, attempts: int = 8) -> None:
    """Shorten the limits of everything, so that a step that fails by time does so soon."""

    def short(options: RoomOptions) -> EngineOptions:
        made = engine_options_of(options)
        made.reconnect_policy = Soon(attempts, 0.01)
        made.signal.join_timeout = 0.4
        made.peer_timeout = 2.5
        made.publish_timeout = 1.0
        return made

    monkeypatch.setattr(room_module, "engine_options_of", short)
    monkeypatch.setattr(negotiation, "ANSWER_TIMEOUT", 1.0)


async def until(condition: Callable[[], bool], what: str) -> None:
    if not await comes_true(condition, DEADLINE, pause=0.005):
        raise AssertionError(f"never happened: {what}")


class Stage:
    """Alice, who is put through something, and bob, who watches.

    Alice sends numbered messages all the time; what bob hears of them is in `heard`.
    """

    def __init__(self, alice: aiolivekit.Room, bob: aiolivekit.Room, events: Recorder, others: Recorder) -> None:
        self.alice = alice
        self.bob = bob
        self.events = events
        self.others = others
        self.sent = 0
        self.heard: list[int] = []
        bob.on("data_received", lambda packet: self.heard.append(int(packet.data)) if not packet.topic else None)

    @property
    def engine(self) -> Any:
        visit = self.alice._visit
        assert visit is not None
        return visit.engine

    @property
    def sessions(self) -> Any:
        return self.engine._sessions

    async def talk(self) -> None:
        with suppress(aiolivekit.LiveKitError):
            while True:
                await self.alice.local_participant.publish_data(str(self.sent))
                self.sent += 1
                await asyncio.sleep(0.005)

    async def over(self) -> None:
        """Wait for the end of the episode."""
        await until(lambda: bool(self.events.of("reconnected") or self.events.of("disconnected")), "an end")

    async def works(self, *, restarted: bool) -> None:
        """Check that the room is as it should be: messages, tracks, participants, and as many ends as beginnings."""
        before = self.sent
        await until(lambda: self.sent > before + 5, "more messages")
        await until(lambda: self.heard[-1:] >= [before + 3], "the messages after")
        heard = list(self.heard)
        assert heard == sorted(set(heard)), "in order, none twice"
        lost = set(range(heard[-1])) - set(heard)
        if not restarted:
            assert not lost
        assert len(lost) <= sum(count for count, _ in self.events.of("data_undelivered"))
        me = self.alice.local_participant
        (mine,) = me.track_publications.values()

        def seen() -> list[tuple[str, bool]]:
            remote = self.bob.remote_participants.get("alice")
            return (
                [] if remote is None else [(each.sid, each.subscribed) for each in remote.track_publications.values()]
            )

        await until(lambda: seen() == [(mine.sid, True)], "bob has the track")
        assert self.bob.remote_participants["alice"].sid == me.sid
        assert list(self.alice.remote_participants) == ["bob"]
        await until(lambda: self.alice.connection_state is CONNECTED, "connected for good")
        names = [name for name, _ in self.events.events if name.startswith(("reconnect", "disconnect"))]
        assert names == ["reconnecting", "reconnected"] * (len(names) // 2)

    def ended(self, reason: DisconnectReason) -> None:
        """Check that the room ended once, for this reason."""
        assert self.events.of("disconnected") == [(reason,)]
        assert len(self.events.of("reconnected")) < len(self.events.of("reconnecting"))
        assert not self.alice.isconnected()


@asynccontextmanager
async def on_stage(server: EmbeddedServer, single: bool, options: RoomOptions | None = None) -> AsyncIterator[Stage]:
    """Bring alice and bob into the room, with a track and messages of alice's; both leave at the end."""
    options = options or RoomOptions()
    options.single_peer_connection = single
    alice, bob = aiolivekit.Room(), aiolivekit.Room()
    events, others = Recorder(alice), Recorder(bob)
    source = aiolivekit.AudioSource(48_000, 1, queue_size_ms=0)
    talking: asyncio.Task[None] | None = None
    try:
        await bob.connect(server.url, server.token("bob"), RoomOptions(single_peer_connection=single))
        await alice.connect(server.url, server.token("alice"), options)
        stage = Stage(alice, bob, events, others)
        track = aiolivekit.LocalAudioTrack.create_audio_track("tone", source)
        await alice.local_participant.publish_track(track)
        await others.wait("track_subscribed")
        talking = asyncio.create_task(stage.talk())
        await until(lambda: len(stage.heard) > 3, "the first messages")
        await until(lambda: "bob" in alice.remote_participants, "alice sees bob")
        yield stage
    finally:
        if talking is not None:
            talking.cancel()
            await asyncio.wait([talking])
        await alice.disconnect()
        await bob.disconnect()
        await source.aclose()
        server.faults.clear()
