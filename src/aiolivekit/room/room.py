"""The room: what a program connects to, listens to and speaks in."""

from __future__ import annotations

import asyncio
import datetime as dt
import weakref
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self, get_args

from livekit.protocol import models, rtc

from .._tasks import finish_despite_cancel
from ..engine.engine import RtcEngine
from ..engine.events import EngineEvents
from ..enums import ConnectionState, DisconnectReason, SimulateScenarioKind
from ..errors import ClosedError, ConnectError, NotConnectedError
from ..options import RoomOptions
from .emitter import EventEmitter
from .engine_options import engine_options_of
from .event_names import EventTypes
from .event_stream import EventStream
from .events import RoomEvent
from .handler_tasks import ErrorHook
from .local_participant import LocalParticipant
from .moment import moment
from .participant import RemoteParticipant
from .stats import RtcStats
from .visit import Visit

__all__ = ["Room"]

_NO_PARTICIPANTS: Mapping[str, RemoteParticipant] = MappingProxyType({})


class Room(EventEmitter[EventTypes]):
    """A LiveKit room.

    Connect to it with `connect`; react to what happens with handlers (`on`) or with `async for event in events()`;
    leave it with `disconnect`, or use it as an asynchronous context manager, which does so at its end.

    Events that arrive while `connect` is returning wait until its caller has had a turn, so handlers may be registered
    before or right after it. Everything happens on one event loop.

    Coroutine handlers that still run when the room is disconnected have two seconds to end; then they are cancelled,
    all but those of `disconnected`, which run to their end.

    Args:
        loop: The loop the room is used on; `None` takes the one that runs when `connect` is called.
    """

    _event_names = frozenset(get_args(EventTypes))

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__()
        self._loop = loop
        self._connecting: asyncio.Task[Visit] | None = None
        self._visit: Visit | None = None
        self._info = models.Room()
        self._token: str | None = None
        self._server_url: str | None = None
        self._queue_size = RoomOptions.event_queue_size
        self._streams: list[weakref.ref[EventStream]] = []
        self._sid_waiters: set[asyncio.Future[str]] = set()
        self._participant_waiters: set[asyncio.Future[RemoteParticipant]] = set()

    # -- connecting ---------------------------------------------------------------------------------

    async def connect(
        self,
        url: str,
        token: str,
        options: RoomOptions = RoomOptions(),  # noqa: B008 - the official default; it is not changed
    ) -> None:
        """Join the room.

        Cancelling the call leaves nothing behind.

        Args:
            url: Of the server (`ws`, `wss`, `http`, `https`).
            token: Says which room and who we are.
            options: How.

        Raises:
            ConnectError: One of its kinds, by cause.
            ClosedError: If `disconnect` is called meanwhile.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            raise ConnectError("the room was made for another event loop")
        if self._connecting is not None or self.isconnected():
            raise ConnectError("the room is connected already, or connecting")
        if options.e2ee is not None or options.encryption is not None:
            # Better not at all than in the clear.
            raise ConnectError("this version cannot encrypt end to end")
        self._server_url = url
        self._token = token
        self._info = models.Room()
        self._queue_size = options.event_queue_size
        # A task of its own, so that `disconnect` can end it.
        joining = loop.create_task(self._join(url, token, options), name="aiolivekit connect")
        self._connecting = joining
        try:
            visit = await joining
        except asyncio.CancelledError:
            await self._clear_up(joining)
            raise
        except Exception:
            self._fail_waiters("the room could not be connected")
            raise
        finally:
            if self._connecting is joining:
                self._connecting = None
        if visit.state is ConnectionState.CONN_DISCONNECTED:
            raise ClosedError("the room was disconnected while it was connecting")
        visit.start_soon()

    async def _join(self, url: str, token: str, options: RoomOptions) -> Visit:
        engine_options = engine_options_of(options)
        self._handler_tasks.slow = engine_options.slow_handler
        engine, join, engine_events = await RtcEngine.connect(url, token, engine_options)
        visit = self._enter(engine, join, engine_events, auto_subscribe=options.auto_subscribe)
        if options.dynacast:
            visit.members.enable_dynacast()
        return visit

    def _enter(
        self, engine: RtcEngine, join: rtc.JoinResponse, engine_events: EngineEvents, *, auto_subscribe: bool
    ) -> Visit:
        self._set_info(join.room)
        self._visit = Visit(self, engine, join, engine_events, auto_subscribe=auto_subscribe)
        return self._visit

    async def _clear_up(self, joining: asyncio.Task[Visit]) -> None:
        """We were cancelled while joining, or `disconnect` cancelled the joining, or all at once."""
        self._fail_waiters("the room was not connected")
        if not joining.cancelled() and joining.exception() is None:
            await finish_despite_cancel(self.disconnect())
        current = asyncio.current_task()
        if self._connecting is not joining and current is not None and not current.cancelling():
            raise ClosedError("the room was disconnected while it was connecting") from None

    async def disconnect(self, *, reason: DisconnectReason | int = DisconnectReason.CLIENT_INITIATED) -> None:
        """Leave the room, or give up connecting to it. Twice is once.

        Returns when the connection is closed and the handlers have ended (see `Room`).

        Args:
            reason: What the others are told.
        """
        connecting = self._connecting
        if connecting is not None:
            self._connecting = None
            connecting.cancel()
            await asyncio.wait([connecting])
        visit = self._visit
        if visit is not None:
            visit.start()
            await visit.engine.close(DisconnectReason.of(reason))
        await self._handler_tasks.finish()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await finish_despite_cancel(self.disconnect())

    # -- what it is ---------------------------------------------------------------------------------

    def isconnected(self) -> bool:
        """Whether the room is connected, or reconnecting."""
        return self.connection_state is not ConnectionState.CONN_DISCONNECTED

    @property
    def connection_state(self) -> ConnectionState:
        """Connected, reconnecting or disconnected."""
        return ConnectionState.CONN_DISCONNECTED if self._visit is None else self._visit.state

    @property
    def single_peer_connection(self) -> bool:
        """Whether one peer connection serves both directions, as negotiated with the server.

        Raises:
            NotConnectedError: Before the room was first connected.
        """
        if self._visit is None:
            raise NotConnectedError("nothing is negotiated before the room is connected")
        return self._visit.engine.single_peer_connection

    @property
    async def sid(self) -> str:
        """The server's id of the room (`RM_…`); some servers tell it some time after the join.

        Raises:
            NotConnectedError: If the room is not connected.
            ClosedError: If it is disconnected before the sid is known.
        """
        if self._info.sid:
            return self._info.sid
        if not self.isconnected() and self._connecting is None:
            raise NotConnectedError("a room that is not connected has no sid")
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._sid_waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._sid_waiters.discard(waiter)

    @property
    def local_participant(self) -> LocalParticipant:
        """Ourselves; after the room is disconnected, as we were last.

        Raises:
            NotConnectedError: Before the room was first connected.
        """
        if self._visit is None:
            raise NotConnectedError("there is no local participant before the room is connected")
        return self._visit.members.local

    @property
    def remote_participants(self) -> Mapping[str, RemoteParticipant]:
        """The others by identity; after the room is disconnected, those who were there last."""
        return _NO_PARTICIPANTS if self._visit is None else MappingProxyType(self._visit.members.remote)

    @property
    def name(self) -> str:
        """The name of the room."""
        return self._info.name

    @property
    def metadata(self) -> str:
        """What the application stores with it."""
        return self._info.metadata

    @property
    def num_participants(self) -> int:
        """How many participants there are, as the server told last; it does so from time to time."""
        return self._info.num_participants

    @property
    def num_publishers(self) -> int:
        """How many of them publish tracks, as the server told last."""
        return self._info.num_publishers

    @property
    def creation_time(self) -> dt.datetime:
        """When the room was made."""
        return moment(self._info.creation_time_ms or self._info.creation_time * 1000)

    @property
    def is_recording(self) -> bool:
        """Whether the room is being recorded."""
        return self._info.active_recording

    @property
    def departure_timeout(self) -> float:
        """Seconds for which the room stays open after the last participant left."""
        return float(self._info.departure_timeout)

    @property
    def empty_timeout(self) -> float:
        """Seconds for which the room stays open if nobody joins."""
        return float(self._info.empty_timeout)

    def __repr__(self) -> str:
        return (
            f"Room(sid={self._info.sid!r}, name={self.name!r}, metadata={self.metadata!r}, "
            f"connection_state={self.connection_state.name})"
        )

    # -- what happens -------------------------------------------------------------------------------

    @property
    def on_handler_error(self) -> ErrorHook | None:
        """Called with the event's name, the handler and its error when a handler raises, after that was logged."""
        return self._handler_tasks.on_error

    @on_handler_error.setter
    def on_handler_error(self, hook: ErrorHook | None) -> None:
        self._handler_tasks.on_error = hook

    def events(self) -> EventStream:
        """Return what happens from now on as an async iterator of typed events (`aiolivekit.room.events`).

        It may be called before `connect`. The iterator ends after `Disconnected`; it holds `event_queue_size` events
        for a reader that falls behind.
        """
        stream = EventStream(self._queue_size)
        self._streams.append(weakref.ref(stream, self._forget_stream))
        return stream

    def _forget_stream(self, reference: weakref.ref[EventStream]) -> None:
        if reference in self._streams:
            self._streams.remove(reference)

    def _push(self, event: RoomEvent) -> None:
        for reference in list(self._streams):
            stream = reference()
            if stream is not None:
                stream.push(event)

    async def wait_for_participant(
        self, identity: str | None = None, *, timeout: float | None = 30.0
    ) -> RemoteParticipant:
        """Return a remote participant, waiting for it if it is not here yet.

        Args:
            identity: Who; `None` for anybody.
            timeout: Seconds to wait at most; `None` waits as long as the room is connected.

        Raises:
            TimeoutError: If nobody came in time.
            NotConnectedError: If the room is not connected.
            ClosedError: If it is disconnected meanwhile.
        """
        if not self.isconnected() and self._connecting is None:
            raise NotConnectedError("nobody joins a room that is not connected")
        waiter: asyncio.Future[RemoteParticipant] = asyncio.get_running_loop().create_future()

        def consider(participant: RemoteParticipant) -> None:
            if identity in (None, participant.identity) and not waiter.done():
                waiter.set_result(participant)

        def look_around() -> None:
            for participant in self.remote_participants.values():
                consider(participant)

        self.on("participant_connected", consider)
        self.on("connected", look_around)
        self._participant_waiters.add(waiter)
        try:
            if self._visit is not None and self.isconnected():
                look_around()
            async with asyncio.timeout(timeout):
                return await waiter
        finally:
            self._participant_waiters.discard(waiter)
            self.off("participant_connected", consider)
            self.off("connected", look_around)

    # -- what can be asked of it --------------------------------------------------------------------

    async def get_rtc_stats(self) -> RtcStats:
        """Return the stats of the connection; after the room is disconnected, those it ended with.

        Raises:
            NotConnectedError: Before the room was first connected.
        """
        stats = await self._entered("have its stats read").engine.get_stats()
        return RtcStats(stats.publisher, stats.subscriber)

    async def simulate_scenario(self, scenario: SimulateScenarioKind | int) -> None:
        """Provoke a fault, to test what follows.

        Args:
            scenario: Which.

        Raises:
            ValueError: If there is no such scenario.
            NotConnectedError: Before the room was first connected.
            ClosedError: If it is disconnected.
        """
        await self._entered("be put through a scenario").engine.simulate_scenario(SimulateScenarioKind(scenario))

    def _entered(self, what: str) -> Visit:
        if self._visit is None:
            raise NotConnectedError(f"the room must be connected to {what}")
        return self._visit

    # -- for the visit ------------------------------------------------------------------------------

    def _set_info(self, info: models.Room) -> None:
        self._info = info
        if info.sid:
            for waiter in self._sid_waiters:
                if not waiter.done():
                    waiter.set_result(info.sid)

    def _visit_ended(self, visit: Visit) -> None:
        """Fail those who wait for something of the room."""
        if visit is self._visit:
            self._fail_waiters("the room was disconnected")

    def _fail_waiters(self, why: str) -> None:
        waiters: list[asyncio.Future[Any]] = [*self._sid_waiters, *self._participant_waiters]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(ClosedError(why))

    def _settle(self) -> None:
        """Everything has been told: end the streams of events, and soon the handlers."""
        streams, self._streams = self._streams, []
        for reference in streams:
            stream = reference()
            if stream is not None:
                stream.end()
        self._handler_tasks.end_soon()
