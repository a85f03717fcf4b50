"""The life of a room: connecting, what it says of itself, the end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import datetime as dt
from collections.abc import Coroutine
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit._begin import begin
from aiolivekit.engine.events import (
    Disconnected,
    Restarted,
    Restarting,
    Resumed,
    Resuming,
    SignalRestarted,
    SignalResumed,
)
from aiolivekit.enums import ConnectionState, DisconnectReason, IceTransportType, SimulateScenarioKind
from aiolivekit.errors import ClosedError, ConnectError, NotConnectedError, UnreachableError
from aiolivekit.options import RoomOptions, RtcConfiguration
from aiolivekit.room.room import Room
from aiolivekit.session.events import ConnectionQualityUpdate, RefreshToken, RoomMoved, RoomUpdate

from .fakes import Connector, Stage, info, join, track

CONNECTED, RECONNECTING = ConnectionState.CONN_CONNECTED, ConnectionState.CONN_RECONNECTING
DISCONNECTED = ConnectionState.CONN_DISCONNECTED
CLIENT_INITIATED = DisconnectReason.CLIENT_INITIATED


def begin_now(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return begin(asyncio.get_running_loop(), coroutine, "", contextvars.copy_context())


# -- connecting -----------------------------------------------------------------------------------------


async def test_connect(connector: Connector) -> None:
    connector.others = (info("ann", tracks=[track("TR_1")]),)
    room = Room()
    calls: list[Any] = []
    room.on("connection_state_changed", calls.append)
    room.on("connected", lambda: calls.append("connected"))
    await room.connect("ws://server", "token")
    assert calls == []
    assert room.isconnected()
    assert list(room.remote_participants) == ["ann"]
    assert list(room.remote_participants["ann"].track_publications) == ["TR_1"]
    assert room.local_participant.identity == "me"
    await asyncio.sleep(0)
    assert calls == [CONNECTED, "connected"]
    await room.disconnect()


async def test_handlers_may_be_registered_right_after_connect(connector: Connector) -> None:
    connector.engine.events.put(RefreshToken("ws://server", "new"))
    room = Room()
    await room.connect("ws://server", "token")
    calls: list[str] = []
    room.on("connected", lambda: calls.append("connected"))
    room.on("token_refreshed", lambda: calls.append("refreshed"))
    await asyncio.sleep(0)
    assert calls == ["connected", "refreshed"]
    await room.disconnect()


async def test_the_options_reach_the_engine(connector: Connector) -> None:
    options = RoomOptions(
        auto_subscribe=False,
        connect_timeout=1.5,
        single_peer_connection=False,
        join_retries=7,
        proxy="http://proxy",
        rtc_config=RtcConfiguration(ice_transport_type=IceTransportType.TRANSPORT_RELAY),
    )
    room = Room()
    await room.connect("ws://server", "token", options)
    [(url, token, engine_options)] = connector.calls
    assert (url, token, engine_options.join_retries) == ("ws://server", "token", 7)
    assert engine_options.rtc_config.ice_transport_type is IceTransportType.TRANSPORT_RELAY
    signal = engine_options.signal
    assert (signal.auto_subscribe, signal.single_peer_connection) == (False, False)
    assert (signal.connect_timeout, signal.proxy) == (1.5, "http://proxy")
    await room.disconnect()


async def test_the_default_options(connector: Connector) -> None:
    room = Room()
    await room.connect("ws://server", "token")
    [(_, _, options)] = connector.calls
    assert options.signal.auto_subscribe
    assert options.signal.single_peer_connection
    assert options.signal.connect_timeout == 5.0
    await room.disconnect()


async def test_the_server_ends_it_while_connect_returns(connector: Connector) -> None:
    connector.engine.closed = True
    connector.engine.events.put(Disconnected(DisconnectReason.DUPLICATE_IDENTITY))
    room = Room()
    calls: list[Any] = []
    room.on("disconnected", calls.append)
    await room.connect("ws://server", "token")
    await asyncio.sleep(0)
    assert calls == [DisconnectReason.DUPLICATE_IDENTITY]
    assert not room.isconnected()


async def test_a_failure_to_connect_leaves_the_room_as_it_was(connector: Connector) -> None:
    connector.failure = UnreachableError("nobody answers")
    room = Room()
    calls: list[Any] = []
    room.on("disconnected", calls.append)
    with pytest.raises(UnreachableError):
        await room.connect("ws://server", "token")
    assert not room.isconnected()
    assert calls == []
    with pytest.raises(NotConnectedError):
        _ = room.local_participant
    connector.failure = None
    await room.connect("ws://server", "token")
    assert room.isconnected()
    await room.disconnect()


async def test_connecting_twice(connector: Connector) -> None:
    connector.gate = asyncio.Event()
    room = Room()
    first = asyncio.create_task(room.connect("ws://server", "token"))
    await connector.began.wait()
    with pytest.raises(ConnectError, match="already"):
        await room.connect("ws://server", "token")
    connector.gate.set()
    await first
    with pytest.raises(ConnectError, match="already"):
        await room.connect("ws://server", "token")
    await room.disconnect()


async def test_a_room_can_be_connected_again(connector: Connector) -> None:
    room = Room()
    await room.connect("ws://server", "token")
    first = room.local_participant
    await room.disconnect()
    connector.engine = type(connector.engine)()
    await room.connect("ws://server", "token")
    assert room.isconnected()
    assert room.local_participant is not first
    await room.disconnect()


async def test_what_should_be_encrypted_is_not_sent_in_the_clear(connector: Connector) -> None:
    for options in (RoomOptions(e2ee=object()), RoomOptions(encryption=object())):
        with pytest.raises(ConnectError, match="encrypt"):
            await Room().connect("ws://server", "token", options)
    assert connector.calls == []


async def test_a_room_belongs_to_its_loop(connector: Connector) -> None:
    other = asyncio.new_event_loop()
    try:
        with pytest.raises(ConnectError, match="loop"):
            await Room(other).connect("ws://server", "token")
    finally:
        other.close()
    room = Room(asyncio.get_running_loop())
    await room.connect("ws://server", "token")
    await room.disconnect()


def test_a_room_can_be_made_without_a_loop() -> None:
    assert not Room().isconnected()


# -- cancelling -----------------------------------------------------------------------------------------


async def test_cancelling_connect(connector: Connector) -> None:
    connector.gate = asyncio.Event()
    room = Room()
    task = asyncio.create_task(room.connect("ws://server", "token"))
    await connector.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connector.cancelled
    assert not room.isconnected()


async def test_cancelling_connect_in_the_step_in_which_it_succeeds(connector: Connector) -> None:
    room = Room()
    task = asyncio.create_task(room.connect("ws://server", "token"))
    connector.on_success = task.cancel
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connector.engine.closed
    assert not room.isconnected()


async def test_disconnect_in_the_step_in_which_connect_succeeds(connector: Connector) -> None:
    room = Room()
    connecting = asyncio.create_task(room.connect("ws://server", "token"))
    disconnecting: list[asyncio.Task[None]] = []
    connector.on_success = lambda: disconnecting.append(begin_now(room.disconnect()))
    with contextlib.suppress(ClosedError):
        await connecting
    await disconnecting[0]
    assert connector.engine.closed
    assert not room.isconnected()


async def test_disconnect_ends_a_connect(connector: Connector) -> None:
    connector.gate = asyncio.Event()
    room = Room()
    task = asyncio.create_task(room.connect("ws://server", "token"))
    await connector.began.wait()
    await room.disconnect()
    assert connector.cancelled
    with pytest.raises(ClosedError):
        await task
    assert not room.isconnected()


# -- the end --------------------------------------------------------------------------------------------


async def test_disconnect(stage: Stage) -> None:
    await stage.room.disconnect()
    assert stage.take() == [("connection_state_changed", DISCONNECTED), ("disconnected", CLIENT_INITIATED)]
    assert not stage.room.isconnected()
    assert stage.engine.calls == [("close", CLIENT_INITIATED)]
    assert stage.room.local_participant.disconnect_reason is CLIENT_INITIATED
    await stage.room.disconnect()
    assert stage.take() == []


async def test_the_reason_is_passed_on(stage: Stage) -> None:
    await stage.room.disconnect(reason=DisconnectReason.USER_REJECTED)
    assert stage.engine.calls == [("close", DisconnectReason.USER_REJECTED)]
    assert stage.take()[-1] == ("disconnected", DisconnectReason.USER_REJECTED)


async def test_disconnect_right_after_connect_tells_both() -> None:
    stage = Stage()
    await stage.room.disconnect()
    assert stage.names() == ["connection_state_changed", "connected", "connection_state_changed", "disconnected"]
    await asyncio.sleep(0)
    assert stage.take() == []


async def test_disconnect_without_connect() -> None:
    await Room().disconnect()


async def test_the_server_ends_it(ann: Stage) -> None:
    ann.engine.closed = True
    ann.put(Disconnected(DisconnectReason.ROOM_DELETED))
    assert ann.take() == [
        ("connection_state_changed", DISCONNECTED),
        ("disconnected", DisconnectReason.ROOM_DELETED),
    ]
    assert ann.room.local_participant.disconnect_reason is DisconnectReason.ROOM_DELETED
    # As in the official SDK, whoever was there last can still be looked at, and nobody is said to have left.
    assert list(ann.room.remote_participants) == ["ann"]
    await ann.room.disconnect()
    assert ann.take() == []


async def test_a_context_manager(connector: Connector) -> None:
    async with Room() as room:
        await room.connect("ws://server", "token")
    assert connector.engine.closed
    assert not room.isconnected()


async def test_handlers_may_disconnect(stage: Stage) -> None:
    done = asyncio.Event()

    async def leave() -> None:
        await stage.room.disconnect()
        done.set()

    stage.room.on("participant_connected", leave)
    stage.update(info("ann"))
    async with asyncio.timeout(1.5):  # less than a handler's grace
        await done.wait()
    assert stage.names()[-1] == "disconnected"


async def test_handlers_of_disconnected_have_ended_when_disconnect_returns(stage: Stage) -> None:
    ended: list[str] = []

    async def tidy_up() -> None:
        await asyncio.sleep(0.01)
        ended.append("ended")

    stage.room.on("disconnected", tidy_up)
    await stage.room.disconnect()
    assert ended == ["ended"]


async def test_a_failing_handler_reaches_the_hook(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[tuple[str, BaseException]] = []
    stage.room.on_handler_error = lambda event, _handler, error: errors.append((event, error))
    assert stage.room.on_handler_error is not None
    failure = ValueError("in a handler")

    @stage.room.on("participant_connected")
    def fails() -> None:
        raise failure

    stage.update(info("ann"))
    assert errors == [("participant_connected", failure)]
    assert stage.names() == ["participant_connected", "participant_active"]
    assert "participant_connected" in caplog.text


# -- what it says of itself -----------------------------------------------------------------------------


async def test_properties_of_the_room() -> None:
    stage = Stage(
        metadata="about",
        num_participants=3,
        num_publishers=2,
        creation_time_ms=1_700_000_000_500,
        active_recording=True,
        departure_timeout=20,
        empty_timeout=300,
    )
    room = stage.room
    assert (room.name, room.metadata, await room.sid) == ("the room", "about", "RM_1")
    assert (room.num_participants, room.num_publishers) == (3, 2)
    assert room.creation_time == dt.datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=dt.UTC)
    assert room.is_recording
    assert (room.departure_timeout, room.empty_timeout) == (20.0, 300.0)
    assert "the room" in repr(room)
    assert "CONN_CONNECTED" in repr(room)


async def test_properties_before_connect() -> None:
    room = Room()
    assert (room.name, room.metadata, dict(room.remote_participants)) == ("", "", {})
    assert room.connection_state is DISCONNECTED
    for call in (room.sid, room.get_rtc_stats(), room.simulate_scenario(0), room.wait_for_participant()):
        with pytest.raises(NotConnectedError):
            await call
    with pytest.raises(NotConnectedError):
        _ = room.local_participant


async def test_nobody_else_can_change_the_participants(ann: Stage) -> None:
    with pytest.raises(TypeError):
        ann.room.remote_participants["x"] = ann.room.remote_participants["ann"]  # type: ignore[index]


async def test_the_token_is_in_no_representation(connector: Connector) -> None:
    room = Room()
    await room.connect("ws://server", "secret-token")
    assert "secret-token" not in repr(room)
    await room.disconnect()


async def test_a_sid_that_comes_later() -> None:
    stage = await Stage.started(sid="")
    early = asyncio.create_task(stage.room.sid)  # type: ignore[arg-type]
    given_up = asyncio.create_task(stage.room.sid)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    given_up.cancel()
    stage.put(RoomUpdate(models.Room(sid="RM_late")))
    assert await early == "RM_late"
    assert await stage.room.sid == "RM_late"


async def test_a_sid_that_never_comes() -> None:
    stage = await Stage.started(sid="")
    waiting = asyncio.create_task(stage.room.sid)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await stage.room.disconnect()
    with pytest.raises(ClosedError):
        await waiting


async def test_a_sid_asked_for_while_connecting(connector: Connector) -> None:
    connector.gate = asyncio.Event()
    room = Room()
    connecting = asyncio.create_task(room.connect("ws://server", "token"))
    await connector.began.wait()
    waiting = asyncio.create_task(room.sid)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    connector.gate.set()
    await connecting
    assert await waiting == "RM_1"
    await room.disconnect()


async def test_room_updates(stage: Stage) -> None:
    stage.put(RoomUpdate(models.Room(sid="RM_1", name="the room", metadata="new", num_participants=5)))
    assert stage.take() == [("room_metadata_changed", "", "new"), ("room_updated",)]
    assert stage.room.num_participants == 5
    stage.put(RoomUpdate(models.Room(sid="RM_1", name="the room", metadata="new", active_recording=True)))
    assert stage.take() == [("room_updated",)]
    assert stage.room.is_recording


async def test_a_refreshed_token(stage: Stage) -> None:
    stage.put(RefreshToken("ws://server", "new"))
    assert stage.take() == [("token_refreshed",)]
    assert stage.room._token == "new"


async def test_moving_to_another_room() -> None:
    stage = await Stage.started(info("ann", tracks=[track("TR_1")]))
    ann = stage.room.remote_participants["ann"]
    moved = rtc.RoomMovedResponse(
        room=models.Room(sid="RM_2", name="another room"),
        token="another token",
        participant=info("me", sid="PA_moved"),
        other_participants=[info("bob", tracks=[track("TR_2")])],
    )
    stage.put(RoomMoved(moved))
    events = stage.take()
    bob = stage.room.remote_participants["bob"]
    publication = bob.track_publications["TR_2"]
    assert [event[0] for event in events] == [
        "track_unpublished",
        "participant_disconnected",
        "token_refreshed",
        "moved",
        "participant_connected",
        "participant_active",
        "track_published",
    ]
    assert (events[1][1], events[4][1], events[6][1:]) == (ann, bob, (publication, bob))
    assert list(stage.room.remote_participants) == ["bob"]
    assert (stage.room.name, await stage.room.sid) == ("another room", "RM_2")
    assert (stage.room.local_participant.sid, stage.room._token) == ("PA_moved", "another token")


# -- waiting for somebody -------------------------------------------------------------------------------


async def test_wait_for_one_who_is_here(ann: Stage) -> None:
    participant = ann.room.remote_participants["ann"]
    assert await ann.room.wait_for_participant() is participant
    assert await ann.room.wait_for_participant("ann") is participant


async def test_wait_for_one_who_comes(ann: Stage) -> None:
    waiting = asyncio.create_task(ann.room.wait_for_participant("cid"))
    await asyncio.sleep(0)
    ann.update(info("bob"))
    await asyncio.sleep(0)
    assert not waiting.done()
    ann.update(info("cid"))
    assert (await waiting) is ann.room.remote_participants["cid"]


async def test_wait_for_nobody(ann: Stage) -> None:
    registered = dict(ann.room._event_handlers)
    with pytest.raises(TimeoutError):
        await ann.room.wait_for_participant("cid", timeout=0.001)
    assert ann.room._event_handlers == registered
    assert not ann.room._participant_waiters


async def test_wait_for_one_until_disconnected(ann: Stage) -> None:
    waiting = asyncio.create_task(ann.room.wait_for_participant("cid", timeout=None))
    await asyncio.sleep(0)
    await ann.room.disconnect()
    with pytest.raises(ClosedError):
        await waiting


async def test_wait_for_one_while_connecting(connector: Connector) -> None:
    connector.gate = asyncio.Event()
    connector.others = (info("ann"),)
    room = Room()
    connecting = asyncio.create_task(room.connect("ws://server", "token"))
    await connector.began.wait()
    waiting = asyncio.create_task(room.wait_for_participant("ann"))
    await asyncio.sleep(0)
    connector.gate.set()
    await connecting
    assert (await waiting) is room.remote_participants["ann"]
    await room.disconnect()


async def test_wait_for_one_while_connecting_fails(connector: Connector) -> None:
    connector.gate = asyncio.Event()
    connector.failure = UnreachableError("nobody answers")
    room = Room()
    connecting = asyncio.create_task(room.connect("ws://server", "token"))
    await connector.began.wait()
    waiting = asyncio.create_task(room.wait_for_participant())
    await asyncio.sleep(0)
    connector.gate.set()
    with pytest.raises(UnreachableError):
        await connecting
    with pytest.raises(ClosedError):
        await waiting


# -- what can be asked of it ----------------------------------------------------------------------------


async def test_stats_are_readable_after_the_end(stage: Stage) -> None:
    stats = await stage.room.get_rtc_stats()
    assert [each.WhichOneof() for each in stats.publisher_stats] == ["transport"]
    assert stats.subscriber_stats == []
    await stage.room.disconnect()
    assert await stage.room.get_rtc_stats() == stats


async def test_scenarios(stage: Stage) -> None:
    await stage.room.simulate_scenario(1)
    assert stage.engine.calls == [("simulate_scenario", SimulateScenarioKind.SIMULATE_SPEAKER)]
    with pytest.raises(ValueError):
        await stage.room.simulate_scenario(99)


# -- the connection ------------------------------------------------------------------------------------


async def test_a_resume(ann: Stage) -> None:
    resuming, signal, resumed = Resuming(), SignalResumed(rtc.ReconnectResponse()), Resumed()
    ann.put(resuming)
    assert ann.take() == [("connection_state_changed", RECONNECTING), ("reconnecting",)]
    assert ann.room.isconnected()
    ann.put(signal)
    ann.put(resumed)
    assert ann.take() == [("connection_state_changed", CONNECTED), ("reconnected",)]
    for event in (resuming, signal, resumed):
        assert await event.acknowledge.wait(5)


async def test_a_resume_that_becomes_a_restart_is_one_reconnection() -> None:
    stage = await Stage.started(info("ann", tracks=[track("TR_1")]), info("bob"))
    stage.add_media("TR_1")
    stage.take()
    acknowledged = [Resuming(), Restarting(), SignalRestarted(join(info("ann", sid="PA_new"))), Restarted()]
    for event in acknowledged:
        stage.put(event)
        assert await event.acknowledge.wait(5)
    assert stage.names() == [
        "connection_state_changed",
        "reconnecting",
        "track_unsubscribed",
        "track_unpublished",
        "participant_disconnected",
        "participant_disconnected",
        "participant_connected",
        "participant_active",
        "connection_state_changed",
        "reconnected",
    ]
    assert stage.room.remote_participants["ann"].sid == "PA_new"


async def test_lost_for_good_while_reconnecting(stage: Stage) -> None:
    stage.put(Resuming())
    stage.take()
    stage.put(Disconnected(DisconnectReason.CONNECTION_TIMEOUT))
    assert stage.take() == [
        ("connection_state_changed", DISCONNECTED),
        ("disconnected", DisconnectReason.CONNECTION_TIMEOUT),
    ]


# -- the network's words --------------------------------------------------------------------------------


async def test_an_event_that_cannot_be_followed_stops_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = stage.room._visit
    assert visit is not None
    stage.put(ConnectionQualityUpdate(None))  # type: ignore[arg-type]
    assert visit.failures == 1
    assert "ConnectionQualityUpdate" in caplog.text
    stage.update(info("ann"))
    assert stage.names() == ["participant_connected", "participant_active"]


async def test_one_bad_change_does_not_stop_the_others(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = stage.room._visit
    assert visit is not None

    def fail(*_arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(visit.members, "_published", fail)
    stage.update(info("ann", tracks=[track("TR_1")]), info("bob"))
    assert list(stage.room.remote_participants) == ["ann", "bob"]
    assert "TrackPublished" in caplog.text


async def test_an_event_nobody_here_uses_is_counted(stage: Stage) -> None:
    visit = stage.room._visit
    assert visit is not None
    stage.put(object())
    assert visit.unused == {"object": 1}
