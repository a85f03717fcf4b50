"""Ours and the official SDK behind one face: the names are the same, so a test body runs with either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import ModuleType
from typing import Any

import aiohttp

import aiolivekit

from ..patience import comes_true

DEADLINE = 15.0
"""Seconds any one thing may take in these tests; generous, since the machine may be busy."""


class Recorder:
    """Every event of a room, in order, with a way to wait for one."""

    EVENTS = (
        "participant_connected",
        "participant_disconnected",
        "data_undelivered",
        "local_track_published",
        "local_track_unpublished",
        "local_track_subscribed",
        "track_published",
        "track_unpublished",
        "track_subscribed",
        "track_unsubscribed",
        "track_subscription_failed",
        "track_subscription_permission_changed",
        "track_stream_state_changed",
        "track_muted",
        "track_unmuted",
        "active_speakers_changed",
        "room_metadata_changed",
        "participant_metadata_changed",
        "participant_name_changed",
        "participant_attributes_changed",
        "connection_quality_changed",
        "participant_permissions_changed",
        "data_received",
        "sip_dtmf_received",
        "transcription_received",
        "data_track_published",
        "data_track_unpublished",
        "connection_state_changed",
        "reconnecting",
        "reconnected",
        "local_track_republished",
        "disconnected",
    )

    def __init__(self, room: Any) -> None:
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self._changed = asyncio.Event()
        for name in self.EVENTS:
            room.on(name, self._handler(name))

    def _handler(self, name: str) -> Callable[..., None]:
        def handle(*arguments: Any) -> None:
            self.events.append((name, arguments))
            self._changed.set()

        return handle

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for event, arguments in self.events if event == name]

    async def wait(self, name: str, match: Callable[..., bool] = lambda *_: True) -> tuple[Any, ...]:
        """Return the arguments of the first event of that name that matches, past or to come."""
        found: list[tuple[Any, ...]] = []

        def came() -> bool:
            found[:] = (arguments for arguments in self.of(name) if match(*arguments))
            return bool(found)

        if not await comes_true(came, DEADLINE, pause=0.1, wake=self._changed):
            raise AssertionError(f"no {name} came; there were {[event for event, _ in self.events]}")
        return found[0]


class Sdk:
    """One of the two SDKs.

    Args:
        name: For test ids.
        rtc: The module with the public names.
    """

    def __init__(self, name: str, rtc: ModuleType) -> None:
        self.name = name
        self.rtc: Any = rtc

    @property
    def is_ours(self) -> bool:
        return self.rtc is aiolivekit

    async def join(self, url: str, token: str, *, single: bool, **options: Any) -> tuple[Any, Recorder]:
        room = self.rtc.Room()
        recorder = Recorder(room)
        await room.connect(url, token, self.rtc.RoomOptions(single_peer_connection=single, **options))
        if self.is_ours:
            # The mode that was negotiated, not the one that was asked for.
            assert room.single_peer_connection is single
        return room, recorder


async def room_service(server: Any, method: str, body: dict[str, Any]) -> dict[str, Any]:
    """Call `RoomService` of the server of the test."""
    headers = {"Authorization": f"Bearer {server.admin_token(str(body.get('room', '')))}"}
    url = f"{server.http_url}/twirp/livekit.RoomService/{method}"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE)) as session,
        session.post(url, json=body, headers=headers) as answer,
    ):
        found: dict[str, Any] = await answer.json()
        assert answer.status == 200, found
        return found


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that has no event of its own."""
    if not await comes_true(condition, DEADLINE):
        raise AssertionError(f"never happened: {what}")


@asynccontextmanager
async def meeting(
    url: str,
    make_token: Callable[..., str],
    first: Sdk,
    second: Sdk,
    *,
    single: bool,
    grants: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    acquainted: bool = True,
) -> AsyncIterator[tuple[Any, Recorder, Any, Recorder]]:
    """Two participants, `alice` (first) and `bob` (second).

    The server tells of participants who publish nothing only every few seconds; a test in which they come to know of
    each other by what they publish need not wait for that (`acquainted=False`).
    """
    async with AsyncExitStack() as stack:
        alice, alice_events = await first.join(
            url, make_token("alice", **(grants or {})), single=single, **(options or {})
        )
        stack.push_async_callback(alice.disconnect)
        bob, bob_events = await second.join(url, make_token("bob", **(grants or {})), single=single, **(options or {}))
        stack.push_async_callback(bob.disconnect)
        if acquainted:
            await until(lambda: "bob" in alice.remote_participants, "alice sees bob")
            await until(lambda: "alice" in bob.remote_participants, "bob sees alice")
        yield alice, alice_events, bob, bob_events


@asynccontextmanager
async def running(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def subscribed(events: Recorder) -> tuple[Any, Any, Any]:
    return await events.wait("track_subscribed")  # type: ignore[return-value]
