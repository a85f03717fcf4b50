"""One connection of a room: what each event of the engine does to it."""

# ruff: noqa: SLF001 - a visit is the inside of a room

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from livekit.protocol import models, rtc

from ..engine import events as from_engine
from ..enums import ConnectionState, DisconnectReason
from ..options import DataStreamOptions, DurableOptions, RoomOptions
from ..session import events as from_session
from . import events
from .absences import RoomAbsences, tell_absence
from .chat import Chat
from .data_tracks import RoomDataTracks
from .durability import durable_messages, tell_presence
from .emitter import EventEmitter
from .encryption import RoomEncryption
from .flight_events import note_event
from .members import Members
from .metrics import batch_of
from .packets import DataPacket, SipDTMF, segments_of
from .preconnect import PreconnectBuffers
from .report import Episodes, ReconnectReport
from .rpc import rpc_calls, tell_departure
from .stream_places import note_place
from .streaming import data_streams, sender_of, tell_streams

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine
    from ..engine.events import EngineEvents
    from .room import Room

__all__ = ["Visit"]

_logger = logging.getLogger("aiolivekit.room")

_SUBSCRIPTION_ERRORS: dict[int, str] = {
    models.SubscriptionError.SE_CODEC_UNSUPPORTED: "its codec is not supported",
    models.SubscriptionError.SE_TRACK_NOTFOUND: "the server does not have it",
}


class Visit:
    """What a room knows while it is connected, and the sink of its engine's events.

    Args:
        room: Whose visit it is.
        engine: The engine, joined.
        join: What the server said.
        engine_events: The engine's events, not taken by anybody yet.
        options: How the room was connected.
    """

    def __init__(
        self,
        room: Room,
        engine: RtcEngine,
        join: rtc.JoinResponse,
        engine_events: EngineEvents,
        options: RoomOptions,
    ) -> None:
        self._room = room
        self.engine = engine
        self.unused: Counter[str] = Counter()
        self.failures = 0
        self.state = ConnectionState.CONN_CONNECTED
        self.members = Members(
            engine,
            join.participant,
            auto_subscribe=options.auto_subscribe,
            announce=self._announce_member,
            tasks=room._handler_tasks,
        )
        self.durable = durable_messages(self, options.durable or DurableOptions())
        self.members.local._durable = self.durable
        self.absences = RoomAbsences(self)
        self.streams = data_streams(self, room, options.data_stream or DataStreamOptions())
        self.members.local._data_streams = self.streams
        self.chat = Chat(self)
        self.chat.receive_from(self.streams)
        self.rpc = self.members.local._rpc = rpc_calls(self, self.streams)
        self.members.load(join.other_participants)
        self._encryption = RoomEncryption(engine.e2ee, self.members, self.announce)
        self.data_tracks = RoomDataTracks(self)
        self._preconnect = PreconnectBuffers(self.members)
        self._remote = self.members.remote
        self._engine_events: EngineEvents | None = engine_events
        self._republishing: asyncio.Task[None] | None = None
        self._republished = 0
        self._engine_up = True
        self._episodes = Episodes()
        self._flight_log = room._flight_log

    # -- beginning ----------------------------------------------------------------------------------

    def start_soon(self) -> None:
        """Begin to take events once the caller of `connect` has had its turn, in which it may register handlers."""
        asyncio.get_running_loop().call_soon(self.start)

    def start(self) -> None:
        """Begin to take events, if that has not happened yet."""
        engine_events, self._engine_events = self._engine_events, None
        if engine_events is None:
            return
        self.announce(events.ConnectionStateChanged(self.state))
        self.announce(events.Connected())
        self._encryption.start()
        self.data_tracks.start()
        engine_events.attach(self.sink)

    def sink(self, event: from_engine.EngineEvent) -> None:
        """Take an event of the engine; never raises."""
        handler = _TABLE.get(type(event))
        if handler is None:
            self.unused[type(event).__name__] += 1
            return
        try:
            handler(self, event)
        except Exception:
            self.failures += 1
            _logger.exception("an event of the engine could not be followed (%s)", type(event).__name__)

    def announce(self, event: events.RoomEvent, *concerned: EventEmitter[Any] | None) -> None:
        """Tell an event to the objects it concerns, then to the room and its streams."""
        note_event(self._flight_log.recorder, event)
        note_place(self._room, event)
        args = event.args
        for emitter in concerned:
            if emitter is not None:
                emitter._tell_handlers(event.name, *args)
        self._room._tell_handlers(event.name, *args)
        self._room._push(event)

    def _announce_member(self, event: events.RoomEvent, *concerned: EventEmitter[Any] | None) -> None:
        tell_presence(self.durable, event)
        tell_absence(self.absences, event)
        tell_departure(self.rpc, event)
        tell_streams(self.streams, event)
        self._preconnect.follow(event)
        self.announce(event, *concerned)
        self._encryption.follow(event)

    # -- data ---------------------------------------------------------------------------------------

    def _data_received(self, event: from_session.DataReceived) -> None:
        # The hot path: nothing is made that nobody asked for.
        if event.id and self.durable.intercept(event):
            return
        room = self._room
        participant = self._remote.get(event.participant_identity)
        if not (
            "data_received" in room._event_handlers
            or room._streams
            or (participant is not None and "data_received" in participant._event_handlers)
        ):
            return
        if participant is None:
            participant = self.members.sender(event.participant_identity, event.participant_sid)
        packet = DataPacket(event.payload, event.kind, participant, event.topic)
        if participant is not None and participant._event_handlers:
            participant._tell_handlers("data_received", packet)
        room._tell_handlers("data_received", packet)
        if room._streams:
            room._push(events.DataReceived(packet))

    def _participants_updated(self, event: from_session.ParticipantUpdate) -> None:
        self.members.update(event.updates)
        self.data_tracks.updated(event.updates)

    def _sip_dtmf_received(self, event: from_session.SipDtmfReceived) -> None:
        participant = self.members.sender(event.participant_identity, "")
        self.announce(events.SipDtmfReceived(SipDTMF(event.code, event.digit, participant)), participant)

    def _transcription_received(self, event: from_session.TranscriptionReceived) -> None:
        participant = self.members.by_identity(event.participant_identity)
        publication = None if participant is None else participant.track_publications.get(event.track_sid)
        segments = segments_of(event.segments)
        self.announce(events.TranscriptionReceived(segments, participant, publication), publication, participant)

    def _metrics_received(self, event: from_session.MetricsReceived) -> None:
        participant = self.members.sender(event.participant_identity, "")
        self.announce(events.MetricsReceived(batch_of(event.batch), participant), participant)

    # -- participants and tracks --------------------------------------------------------------------

    def _quality_update(self, event: from_session.ConnectionQualityUpdate) -> None:
        for update in event.updates:
            self.members.quality_changed(update.participant_sid, update.quality)

    def _stream_states(self, event: from_session.StreamStateUpdate) -> None:
        for each in event.states:
            self.members.stream_state_changed(each.track_sid, each.state)

    def _permission_update(self, event: from_session.SubscriptionPermissionUpdate) -> None:
        self.members.subscription_allowed(event.track_sid, event.allowed)

    def _subscription_response(self, event: from_session.SubscriptionResponse) -> None:
        self.members.subscription_failed(event.track_sid, _SUBSCRIPTION_ERRORS.get(event.error, "for no stated reason"))

    # -- the room -----------------------------------------------------------------------------------

    def _room_update(self, info: models.Room) -> None:
        old = self._room._info.metadata
        self._room._set_info(info)
        if info.metadata != old:
            self.announce(events.RoomMetadataChanged(old, info.metadata))
        self.announce(events.RoomUpdated())

    def _moved(self, event: from_session.RoomMoved) -> None:
        moved = event.moved
        self.members.depart()
        self.durable.moved()
        self._room._set_info(moved.room)
        if moved.token:
            self._token_refreshed(moved.token)
        self.announce(events.Moved())
        local = moved.participant if moved.HasField("participant") else self.members.local._info
        self.members.arrive(local, moved.other_participants)
        self.data_tracks.renewed()

    def _token_refreshed(self, token: str) -> None:
        self._room._token = token
        self.announce(events.TokenRefreshed())

    # -- the connection -----------------------------------------------------------------------------

    def _set_state(self, state: ConnectionState) -> bool:
        if self.state is state:
            return False
        self.state = state
        self.announce(events.ConnectionStateChanged(state))
        return True

    def _reconnecting(self, event: from_engine.Resuming | from_engine.Restarting) -> None:
        if isinstance(event, from_engine.Restarting):
            # A resume brings back what tracks are published on; after a restart it is all done again.
            self._stop_republishing()
        self._engine_up = False
        self.durable.interrupted(session_ends=isinstance(event, from_engine.Restarting))
        self.data_tracks.interrupted(session_ends=isinstance(event, from_engine.Restarting))
        if isinstance(event, from_engine.Restarting):
            self.streams.interrupted()
        self._episodes.begin(asyncio.get_running_loop().time())
        try:
            if self._set_state(ConnectionState.CONN_RECONNECTING):
                self.announce(events.Reconnecting())
        finally:
            event.acknowledge()

    def _signal_resumed(self, event: from_engine.SignalResumed) -> None:
        try:
            event.state.subscription.CopyFrom(self.members.subscription_wishes())
            event.state.track_sids_disabled.extend(self.members.disabled_tracks())
            event.state.publish_tracks.extend(self.members.local._tracks.published())
            event.state.publish_data_tracks.extend(self.data_tracks.local.published())
        finally:
            event.acknowledge()

    def _signal_restarted(self, event: from_engine.SignalRestarted) -> None:
        try:
            join = event.join_response
            self.members.media_cleared()
            with self.rpc.rejoining(lambda: self._remote):
                self.members.depart()
                self._room._set_info(join.room)
                self.members.arrive(join.participant, join.other_participants)
            self.data_tracks.renewed()
        finally:
            event.acknowledge()

    def _resumed(self, event: from_engine.Resumed) -> None:
        try:
            if event.present is not None:
                self.members.reconcile(event.present)
            self.durable.recovered()
            self.data_tracks.resumed()
            self.streams.recovered()
            self._engine_up = True
            self._episodes.connected(event.episode, event.replayed)
            if self._republishing is None or self._republishing.done():
                self._reconnected()
        finally:
            event.acknowledge()

    def _restarted(self, event: from_engine.Restarted) -> None:
        self._stop_republishing()
        self.durable.recovered()
        self.data_tracks.restarted()
        self.streams.recovered()
        self._engine_up, self._republished = True, 0
        self._episodes.connected(event.episode, event.replayed)
        self._republishing = asyncio.get_running_loop().create_task(self._republish(event), name="aiolivekit-republish")

    async def _republish(self, event: from_engine.Restarted) -> None:
        try:
            self._republished = await self.members.local._tracks.republish()
        except Exception:
            self.failures += 1
            _logger.exception("tracks could not be published again")
        finally:
            event.acknowledge()
        self._reconnected()

    def _stop_republishing(self) -> None:
        if self._republishing is not None:
            self._republishing.cancel()

    def _reconnected(self) -> None:
        if not self._engine_up or self.engine.closed:
            # It was lost again meanwhile; `Reconnected` is told when it is back, or why it is not.
            return
        now, published = asyncio.get_running_loop().time(), len(self.members.local._tracks.publications)
        report = self._episodes.succeeded(now, published=published, republished=self._republished)
        self._republished = 0
        if self._set_state(ConnectionState.CONN_CONNECTED):
            self.announce(events.Reconnected())
            self._tell_report(report)

    def _tell_report(self, report: ReconnectReport | None) -> None:
        if report is not None:
            self._room._report(report)
            self.announce(events.ReconnectReported(report))

    def _data_undelivered(self, event: from_engine.DataUndelivered) -> None:
        self.streams.undelivered()
        self.announce(events.DataUndelivered(event.count, event.reason))

    async def leave(self, reason: DisconnectReason) -> None:
        """Leave the room, once durable messages have arrived, or two seconds have passed."""
        self.rpc.close()
        try:
            if self.state is ConnectionState.CONN_CONNECTED:
                await self.durable.flush()
        finally:
            await self.engine.close(reason)
            self.engine.e2ee._close()
            await self._preconnect.aclose()
            await self.durable.aclose()
            await self.rpc.aclose()
            await self.streams.aclose()

    def _disconnected(self, event: from_engine.Disconnected) -> None:
        reason = event.reason
        self._stop_republishing()
        self.durable.close("the room was disconnected before they were acknowledged")
        self.data_tracks.close()
        self.absences.close()
        self.rpc.close()
        self.streams.close()
        self._preconnect.close()
        self.members.close()
        self.engine.e2ee._close()
        self.members.local._set_disconnect_reason(reason)
        self._room._visit_ended(self)
        report = None
        if event.cause is not None:
            now = asyncio.get_running_loop().time()
            report = self._episodes.failed(event.cause, event.episode, event.replayed, now)
        self._set_state(ConnectionState.CONN_DISCONNECTED)
        self._tell_report(report)
        self.announce(events.Disconnected(reason))
        if report is not None:
            self._flight_log.save_soon("the room is lost")
        self._room._settle()


_TABLE: dict[type, Callable[[Visit, Any], None]] = {
    from_session.ParticipantUpdate: Visit._participants_updated,
    from_session.MediaTrackAdded: lambda v, e: v.members.media_added(e.media, e.participant_sid, e.track_sid),
    from_session.MediaTrackRemoved: lambda v, e: v.members.media_removed(e.track_sid),
    from_session.DataReceived: Visit._data_received,
    from_session.DataTrackPacketReceived: lambda v, e: v.data_tracks.remote.on_packet(e.data),
    from_session.DataTrackReady: lambda v, _: v.data_tracks.local.send(),
    from_session.DataTrackSignal: lambda v, e: v.data_tracks.signalled(e),
    from_session.DataStreamHeader: lambda v, e: v.streams.receiver.header(e.header, sender_of(e), e.encryption_type),
    from_session.DataStreamChunk: lambda v, e: v.streams.receiver.chunk(e.chunk, sender_of(e), e.encryption_type),
    from_session.DataStreamTrailer: lambda v, e: v.streams.receiver.trailer(e.trailer, sender_of(e)),
    from_session.ChatMessageReceived: lambda v, e: v.chat.packet_received(e),
    from_session.TranscriptionReceived: Visit._transcription_received,
    from_session.DataChannelBufferStatusChanged: lambda v, e: v.announce(
        events.DataChannelBufferStatusChanged(e.is_low, e.kind)
    ),
    from_session.DataChannelBufferedAmountLowThresholdChanged: lambda v, e: v.announce(
        events.DataChannelBufferedAmountLowThresholdChanged(e.kind, e.threshold)
    ),
    from_session.SipDtmfReceived: Visit._sip_dtmf_received,
    from_session.MetricsReceived: Visit._metrics_received,
    from_session.RpcRequest: lambda v, e: v.rpc.on_request(
        e.caller_identity, e.request_id, e.method, e.payload, e.response_timeout, e.version
    ),
    from_session.RpcAck: lambda v, e: v.rpc.on_ack(e.participant_identity, e.request_id),
    from_session.RpcResponse: lambda v, e: v.rpc.on_response(e.participant_identity, e.request_id, e.payload, e.error),
    from_session.SpeakersChanged: lambda v, e: v.members.speakers_changed(e.speakers),
    from_session.ConnectionQualityUpdate: Visit._quality_update,
    from_session.RoomUpdate: lambda v, e: v._room_update(e.room),
    from_session.RoomMoved: Visit._moved,
    from_session.LocalTrackSubscribed: lambda v, e: v.members.local._tracks.subscribed(e.track_sid),
    from_session.LocalTrackUnpublished: lambda v, e: v.members.local._tracks.ended(e.track_sid),
    from_session.TrackMuted: lambda v, e: v.members.local._tracks.muted(e.sid, e.muted),
    from_session.SubscribedQualityUpdate: lambda v, e: v.members.local._tracks.watched(e.update),
    from_session.RefreshToken: lambda v, e: v._token_refreshed(e.token),
    from_session.StreamStateUpdate: Visit._stream_states,
    from_session.SubscriptionPermissionUpdate: Visit._permission_update,
    from_session.SubscriptionResponse: Visit._subscription_response,
    from_engine.Resuming: Visit._reconnecting,
    from_engine.Restarting: Visit._reconnecting,
    from_engine.SignalResumed: Visit._signal_resumed,
    from_engine.SignalRestarted: Visit._signal_restarted,
    from_engine.Resumed: Visit._resumed,
    from_engine.Restarted: Visit._restarted,
    from_engine.DataUndelivered: Visit._data_undelivered,
    from_engine.Disconnected: Visit._disconnected,
}
"""What is done with each kind of event; those that are not here are counted."""
