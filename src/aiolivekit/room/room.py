"""The room: what a program connects to, listens to and speaks in."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self, get_args

from livekit.protocol import models, rtc

from .._tasks import finish_despite_cancel
from ..core.flight import FlightRecorder
from ..e2ee.manager import E2EEManager
from ..engine.engine import RtcEngine
from ..engine.events import EngineEvents
from ..enums import ConnectionState, DisconnectReason, SimulateScenarioKind
from ..errors import ClosedError, ConnectError, NotConnectedError
from ..options import RoomOptions
from .emitter import EventEmitter
from .encryption import e2ee_manager_of
from .engine_options import engine_options_of
from .event_names import EventTypes
from .event_stream import EventStream
from .events import RoomEvent
from .flight_log import FlightLog
from .handler_tasks import ErrorHook
from .info import RoomInfo
from .local_participant import LocalParticipant
from .participant import RemoteParticipant
from .report import ReconnectHook, ReconnectReport
from .stats import RtcStats, read_stats
from .streaming import ByteStreamHandler, StreamHandlers, TextStreamHandler
from .visit import Visit
from .waiting import Waiters, wait_for_participant

__all__ = ["Room"]

_NO_PARTICIPANTS: Mapping[str, RemoteParticipant] = MappingProxyType({})


class Room(RoomInfo, StreamHandlers, EventEmitter[EventTypes]):
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
        self._token: str | None = None
        self._server_url: str | None = None
        self._queue_size = RoomOptions.event_queue_size
        self._streams: list[weakref.ref[EventStream]] = []
        self._sid_waiters: Waiters[str] = Waiters()
        self._participant_waiters: Waiters[RemoteParticipant] = Waiters()
        self._flight_log = FlightLog(FlightRecorder())
        self._text_stream_handlers: dict[str, TextStreamHandler] = {}
        self._byte_stream_handlers: dict[str, ByteStreamHandler] = {}
        self._on_reconnect: ReconnectHook | None = None
        self._last_reconnect: ReconnectReport | None = None

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
        e2ee = e2ee_manager_of(options)
        self._server_url = url
        self._token = token
        self._info = models.Room()
        self._queue_size = options.event_queue_size
        self._flight_log = FlightLog(FlightRecorder(options.flight_records), options.flight_log)
        # A task of its own, so that `disconnect` can end it.
        joining = loop.create_task(self._join(url, token, options, e2ee), name="aiolivekit connect")
        self._connecting = joining
        try:
            visit = await joining
        except asyncio.CancelledError:
            try:
                await self._clear_up(joining)
            finally:
                e2ee._close()  # noqa: SLF001 - the manager's side that is not the user's
            raise
        except Exception:
            e2ee._close()  # noqa: SLF001
            self._fail_waiters("the room could not be connected")
            await self._flight_log.saved()
            raise
        finally:
            if self._connecting is joining:
                self._connecting = None
        if visit.state is ConnectionState.CONN_DISCONNECTED:
            raise ClosedError("the room was disconnected while it was connecting")
        visit.start_soon()

    async def _join(self, url: str, token: str, options: RoomOptions, e2ee: E2EEManager) -> Visit:
        engine_options = engine_options_of(options)
        self._handler_tasks.slow = engine_options.slow_handler
        self._handler_tasks.flight = self._flight_log.recorder
        with self._flight_log.of_joining() as flight:
            engine, join, engine_events = await RtcEngine.connect(
                url, token, engine_options, e2ee_manager=e2ee, flight=flight
            )
        visit = self._enter(engine, join, engine_events, options)
        if options.dynacast:
            visit.members.enable_dynacast()
        if options.adaptive_stream:
            visit.members.enable_adaptive_stream()
        return visit

    def _enter(
        self, engine: RtcEngine, join: rtc.JoinResponse, engine_events: EngineEvents, options: RoomOptions
    ) -> Visit:
        self._set_info(join.room)
        self._visit = Visit(self, engine, join, engine_events, options)
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
            await visit.leave(DisconnectReason.of(reason))
            await self._flight_log.saved()
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
        with self._sid_waiters.one() as waiter:
            return await waiter

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
    def e2ee_manager(self) -> E2EEManager:
        """The end-to-end encryption: its keys, and how it goes. Where there is none, it has no keys.

        Raises:
            NotConnectedError: Before the room was first connected.
        """
        return self._entered("have its encryption looked at").engine.e2ee

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

    @property
    def on_reconnect(self) -> ReconnectHook | None:
        """Called with the report of each episode of reconnecting, whether it ended well or not."""
        return self._on_reconnect

    @on_reconnect.setter
    def on_reconnect(self, hook: ReconnectHook | None) -> None:
        self._on_reconnect = hook

    @property
    def last_reconnect(self) -> ReconnectReport | None:
        """The report of the last episode of reconnecting, perhaps of an earlier connection; `None` for none."""
        return self._last_reconnect

    @property
    def flight_recorder(self) -> FlightLog:
        """What happened in this connection, or in the last: a trace without secrets, to read or to write to files."""
        return self._flight_log

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
        return await wait_for_participant(self, self._participant_waiters, identity, timeout)

    # -- what can be asked of it --------------------------------------------------------------------

    async def get_rtc_stats(self) -> RtcStats:
        """Return the stats of the connection; after the room is disconnected, those it ended with.

        Raises:
            NotConnectedError: Before the room was first connected.
        """
        stats = await self._entered("have its stats read").engine.get_stats()
        return RtcStats(read_stats(stats.publisher), read_stats(stats.subscriber))

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
            self._sid_waiters.tell(info.sid)

    def _visit_ended(self, visit: Visit) -> None:
        """Fail those who wait for something of the room."""
        if visit is self._visit:
            self._fail_waiters("the room was disconnected")

    def _fail_waiters(self, why: str) -> None:
        self._sid_waiters.fail(why)
        self._participant_waiters.fail(why)

    def _report(self, report: ReconnectReport) -> None:
        """Tell the hook that an episode of reconnecting is over."""
        self._last_reconnect = report
        if self._on_reconnect is not None:
            try:
                self._on_reconnect(report)
            except Exception as error:  # noqa: BLE001 - reported
                self._handler_tasks.failed("on_reconnect", self._on_reconnect, error)

    def _settle(self) -> None:
        """Everything has been told: end the streams of events, and soon the handlers."""
        streams, self._streams = self._streams, []
        for reference in streams:
            stream = reference()
            if stream is not None:
                stream.end()
        self._handler_tasks.end_soon()
