"""One participant's session: its state, its transports, and everything it is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from livekit.protocol import models, rtc

from aiolivekit.server.connection import SignalConnection
from aiolivekit.server.data import LOSSY, RELIABLE
from aiolivekit.server.data_tracks import DATA_TRACK, DataTracks
from aiolivekit.server.delivery import Delivery
from aiolivekit.server.ids import new_id
from aiolivekit.server.negotiation import LocalTransport, trickle_candidates
from aiolivekit.server.options import ServerOptions
from aiolivekit.server.permissions import TrackPermissions
from aiolivekit.server.publishing import Publishing
from aiolivekit.server.requests import ConnectRequest
from aiolivekit.server.rtp import rtcp
from aiolivekit.server.subscribing import Subscriptions
from aiolivekit.server.tokens import Claims, VideoGrants
from aiolivekit.server.transport import Events, PeerTransport, State

if TYPE_CHECKING:
    from aiolivekit.server.dev_server import ServerCore
    from aiolivekit.server.downlink import DownTrack
    from aiolivekit.server.room import Room

__all__ = ["Participant"]

_log = logging.getLogger("aiolivekit.server")

_CHANNELS = ((RELIABLE, True, None), (LOSSY, False, 0), (DATA_TRACK, False, 0))
_STATES = models.ParticipantInfo.State
# Looked at for every packet; reading them from the enum costs more than the comparison.
_ACTIVE, _DISCONNECTED = _STATES.ACTIVE, _STATES.DISCONNECTED


class Participant:
    """One session of one participant, from its join to its end.

    Args:
        core: The server.
        room: The room it joins.
        request: What it asked for.
    """

    def __init__(self, core: ServerCore, room: Room, request: ConnectRequest) -> None:
        self.core = core
        self.room = room
        self.sid = new_id("PA_")
        self.identity = request.claims.identity
        self.claims: Claims = request.claims
        self.client = request.client
        self.single_peer_connection = request.single_peer_connection
        self.auto_subscribe = request.auto_subscribe
        self.auto_subscribe_data_track = request.auto_subscribe_data_track
        self.adaptive_stream = request.adaptive_stream
        self.state: models.ParticipantInfo.State = _STATES.JOINING
        self.joined_at = time.time()
        self.is_publisher = False
        self.disconnect_reason: models.DisconnectReason = models.DisconnectReason.UNKNOWN_REASON
        self.connection: SignalConnection | None = None
        self.subscriber_started = False
        self.last_sequence = 0
        self.data_packets = 0
        self.duplicates = 0
        self.malformed = 0
        self.resumes = 0
        self.closed = asyncio.Event()
        self.token_sent_at = 0.0
        self._transport_ended = False
        self._version = 0
        self._permissions = TrackPermissions()
        self._loop = asyncio.get_running_loop()
        self._departure: asyncio.TimerHandle | None = None
        self.delivery = Delivery(self)
        self.publisher = self._transport("publisher")
        self.subscriber = None if self.single_peer_connection else self._transport("subscriber")
        self.publishing = Publishing(self)
        self.subscriptions = Subscriptions(self)
        self.data_tracks = DataTracks(self)

    def _transport(self, target: str) -> PeerTransport:
        announce = target == "subscriber" and self.subscriber_primary
        transport = PeerTransport(
            self.core.mux,
            self.core.certificate,
            f"{self.sid}/{target}",
            Events(
                connected=lambda: self._transport_connected(target),
                failed=lambda why: self._transport_failed(target, why),
                rtp=self._rtp if target == "publisher" else self._ignore_rtp,
                rtcp=self._rtcp,
                message=self._message,
                channel_open=self._channel_open,
            ),
            _CHANNELS if announce else (),
        )
        transport.ice.owner = self
        return transport

    # what it is

    @property
    def options(self) -> ServerOptions:
        """The server's options."""
        return self.core.options

    @property
    def grants(self) -> VideoGrants:
        """What it may do."""
        return self.claims.video or VideoGrants()

    @property
    def hidden(self) -> bool:
        """Whether others are not told of it."""
        return self.grants.hidden

    @property
    def is_agent(self) -> bool:
        """Whether it is an agent."""
        return self.grants.agent or self.claims.participant_kind == models.ParticipantInfo.Kind.AGENT

    @property
    def subscriber_primary(self) -> bool:
        """Whether the connection we offer is the one that makes it active."""
        # Clients before protocol 3 expect to offer first.
        return not self.single_peer_connection and self.grants.can_subscribe and self.client.protocol > 2

    @property
    def receiving_transport(self) -> PeerTransport:
        """The transport over which it gets tracks."""
        return self.subscriber or self.publisher

    @property
    def data_transport(self) -> PeerTransport:
        """The transport over which it gets data packets."""
        if self.subscriber is not None and self.subscriber_primary:
            return self.subscriber
        return self.publisher

    @property
    def transports(self) -> list[PeerTransport]:
        """Its one or two transports."""
        return [self.publisher] if self.subscriber is None else [self.publisher, self.subscriber]

    @property
    def connected(self) -> bool:
        """Whether its media has been connected and it has not left."""
        return self.state == _ACTIVE

    @property
    def ended(self) -> bool:
        """Whether the session is over."""
        return self.state == _DISCONNECTED

    def changed(self) -> None:
        """Count a change of what others are told of it."""
        self._version += 1

    def info(self) -> models.ParticipantInfo:
        """Return what others are told of it."""
        return models.ParticipantInfo(
            sid=self.sid,
            identity=self.identity,
            name=self.claims.name,
            state=self.state,
            joined_at=int(self.joined_at),
            joined_at_ms=int(self.joined_at * 1000),
            version=self._version,
            permission=self.grants.to_permission(),
            metadata=self.claims.metadata,
            attributes=self.claims.attributes,
            region=self.options.region,
            is_publisher=self.is_publisher,
            kind=self.claims.participant_kind,
            disconnect_reason=self.disconnect_reason,
            client_protocol=self.client.client_protocol,
            capabilities=self.client.capabilities,
            tracks=[track.info for track in self.publishing.tracks.values()],
            data_tracks=self.data_tracks.infos(),
        )

    def permits(self, sid: str, subscriber: Participant) -> bool:
        """Whether someone may subscribe to its track."""
        return subscriber.grants.recorder or self._permissions.allow(sid, subscriber.identity)

    def set_subscription_permission(self, permission: rtc.SubscriptionPermission) -> None:
        """Take who may subscribe to its tracks; each message replaces the one before."""
        self._permissions.update(permission, {p.sid: p.identity for p in self.room.participants.values()})
        for other in list(self.room.participants.values()):
            if other is not self:
                for sid in list(self.publishing.tracks):
                    other.subscriptions.reconcile(sid)
                other.data_tracks.reconcile()

    # telling it

    def send(self, response: rtc.SignalResponse) -> None:
        """Send a message; lost when no connection is there to take it, as in the real server."""
        if self.connection is not None:
            self.connection.send(response)

    def send_request_response(self, response: rtc.RequestResponse) -> None:
        """Answer a request."""
        if response.reason == rtc.RequestResponse.Reason.OK and self.client.protocol < 15:
            return
        self.send(rtc.SignalResponse(request_response=response))

    def send_update(self, infos: Iterable[models.ParticipantInfo]) -> None:
        """Tell it about participants; hidden ones are left out unless it is itself."""
        visible = [i for i in infos if not i.permission.hidden or i.sid == self.sid]
        if visible and self.state in (_STATES.JOINED, _STATES.ACTIVE):
            self.send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=visible)))

    def send_token(self) -> None:
        """Send a fresh token with its present claims."""
        self.token_sent_at = time.monotonic()
        kind = models.ParticipantInfo.Kind.Name(self.claims.participant_kind).lower()
        self.send(rtc.SignalResponse(refresh_token=self.core.refresh_token(replace(self.claims, kind=kind))))

    def send_leave(self, reason: models.DisconnectReason, action: rtc.LeaveRequest.Action) -> None:
        """Send a leave request, and nothing else."""
        self.send(rtc.SignalResponse(leave=rtc.LeaveRequest(reason=reason, action=action)))

    def _candidates(self, transport: PeerTransport) -> list[str]:
        tcp_only = self.room.simulations.tcp_only(self.identity)
        return self.core.candidates(transport.ice.credentials.ufrag, tcp_only=tcp_only)

    def send_candidates(self, transport: PeerTransport, target: rtc.SignalTarget) -> None:
        """Send our candidates, one message each."""
        for trickle in trickle_candidates(self._candidates(transport), target):
            self.send(rtc.SignalResponse(trickle=trickle))

    def local_transport(self, transport: PeerTransport, setup: str, *, with_candidates: bool) -> LocalTransport:
        """Return our side of a transport for a session description."""
        credentials = transport.ice.credentials
        candidates = tuple(self._candidates(transport)) if with_candidates else ()
        return LocalTransport(credentials.ufrag, credentials.password, transport.fingerprint, setup, candidates)

    # joining and resuming

    def attach(self, connection: SignalConnection) -> None:
        """Take a signalling connection in place of the one before."""
        old, self.connection = self.connection, connection
        if old is not None:
            old.close()

    def detached(self, connection: SignalConnection) -> None:
        """Take note that a signalling connection ended."""
        if self.connection is not connection:
            return
        self.connection = None
        if not self.ended and not any(t.state is State.CONNECTED for t in self.transports):
            self.close(models.DisconnectReason.SIGNAL_CLOSE, send_leave=False)

    def set_joined(self) -> None:
        """Take note that the join response was sent."""
        if self.state == _STATES.JOINING:
            self.state = _STATES.JOINED
            self.changed()
            self.room.on_state(self)

    def resume(self, connection: SignalConnection) -> None:
        """Go on with a new signalling connection: reconnect response, what is new, an ICE restart."""
        self.resumes += 1
        self._cancel_departure()
        self.attach(connection)
        self.send(
            rtc.SignalResponse(
                reconnect=rtc.ReconnectResponse(server_info=self.core.server_info, last_message_seq=self.last_sequence)
            )
        )
        if self.room.simulations.disconnects_on_resume(self.identity):
            connection.close()
            return
        self.send_update(p.info() for p in self.room.participants.values() if p is self or not p.hidden)
        self.send(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.room.info())))
        if self.subscriber is not None and self.subscriber_started:
            self.subscriptions.send_offer(restart=True)
        self.send_token()
        self.room.repeat_qualities(self)

    # transports

    def _transport_connected(self, target: str) -> None:
        primary = "subscriber" if self.subscriber_primary else "publisher"
        if target == primary and self.state == _STATES.JOINED:
            self.state = _STATES.ACTIVE
            self.changed()
            self.room.on_state(self)
            self.subscriptions.on_active()
        if target == "publisher":
            self.publishing.uplink.kick()

    def _transport_failed(self, target: str, why: str) -> None:
        # A client that leaves closes its transports first; `check_media` looks whether it has left.
        _log.debug("%s of %s ended: %s", target, self.sid, why)

    def media_lost(self) -> None:
        """Ask it to resume, and give it some time for that."""
        if self.ended or self._departure is not None:
            return
        self.send_leave(models.DisconnectReason.CONNECTION_TIMEOUT, rtc.LeaveRequest.Action.RESUME)
        self.close_signal()
        self._departure = self._loop.call_later(self.options.resume_timeout, self._depart)

    def _cancel_departure(self) -> None:
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None

    def _depart(self) -> None:
        self._departure = None
        self.close(models.DisconnectReason.CONNECTION_TIMEOUT)

    def check_media(self, now: float) -> None:
        """Look whether its media is still there."""
        if self.ended:
            return
        if self.state != _STATES.ACTIVE:
            if time.time() - self.joined_at > self.options.join_timeout:
                self.close(models.DisconnectReason.JOIN_FAILURE)
            return
        made = [t for t in self.transports if t.was_connected]
        silent = any(now - t.ice.last_seen > self.options.media_timeout for t in made)
        # A client that leaves ends its transports just before it says so: give it until the next look.
        ended_before, self._transport_ended = self._transport_ended, any(t.state is State.CLOSED for t in made)
        if silent or (ended_before and self._transport_ended):
            self.media_lost()

    def kill_transports(self, which: Literal["all", "publisher", "subscriber"]) -> None:
        """End transports without telling anybody; then act as if they had failed."""
        for name, transport in (("publisher", self.publisher), ("subscriber", self.subscriber)):
            if transport is not None and which in ("all", name):
                transport.close(goodbye=False)
        self.media_lost()

    def set_reading(self, *, signal: bool, data: bool) -> None:
        """Read what it sends, or leave it unread."""
        if self.connection is not None:
            (self.connection.resume_reading if signal else self.connection.pause_reading)()
        for transport in self.transports:
            channels = transport.data
            if channels is not None and data and channels.paused:
                channels.resume()
            elif channels is not None and not data:
                channels.paused = True

    # media

    def _rtp(self, packet: bytes, arrival: float) -> None:
        self.publishing.uplink.receive(packet, arrival)

    def _ignore_rtp(self, packet: bytes, arrival: float) -> None:
        pass

    def _rtcp(self, packet: bytes) -> None:
        arrival = time.monotonic()
        for message in rtcp.parse(packet):
            if self.publishing.uplink.receive_rtcp(message, arrival):
                continue
            if isinstance(message, rtcp.Nack | rtcp.Pli | rtcp.Fir):
                down = self._down_of(message.ssrc)
                if down is None:
                    continue
                if isinstance(message, rtcp.Nack):
                    down.resend(message.sequences)
                else:
                    down.key_frame_wanted()
                    down.track.publisher.publishing.uplink.kick()
            elif isinstance(message, rtcp.ReceiverReport | rtcp.SenderReport):
                for report in message.reports:
                    down = self._down_of(report.ssrc)
                    if down is not None:
                        down.fraction_lost = report.fraction_lost / 256

    def _down_of(self, ssrc: int) -> DownTrack | None:
        return next((d for d in self.subscriptions.active.values() if d.ssrc == ssrc), None)

    # data

    def _message(self, label: str, data: bytes) -> None:
        if self.ended:
            return
        if label == DATA_TRACK:
            self.data_tracks.receive(data)
        else:
            self.room.data.receive(self, label, data)

    def _channel_open(self, label: str) -> None:
        self.delivery.channel_opened(label)

    def send_data(self, label: str, data: bytes, sender: str, sequence: int) -> None:
        """Send a data packet; a reliable one waits for the channel to open."""
        self.delivery.send(label, data, sender, sequence)

    # claims

    def update_claims(self, name: str = "", metadata: str = "", attributes: dict[str, str] | None = None) -> None:
        """Take new name, metadata and attributes; empty ones stay as they are, an empty attribute is removed.

        Each is told by itself, with a token of its own, as the real server does.
        """
        if name and name != self.claims.name:
            self._set_claims(replace(self.claims, name=name))
        if metadata and metadata != self.claims.metadata:
            self._set_claims(replace(self.claims, metadata=metadata))
        if attributes:
            merged = {key: value for key, value in (self.claims.attributes | attributes).items() if value}
            self._set_claims(replace(self.claims, attributes=merged))

    def _set_claims(self, claims: Claims) -> None:
        self.claims = claims
        self.changed()
        self.room.broadcast(self, immediate=True)
        self.send_token()

    def set_permission(self, permission: models.ParticipantPermission) -> None:
        """Take new grants from an administrator, and end what they no longer allow."""
        grants = self.grants.with_permission(permission)
        if grants == self.grants:
            return
        self.claims = replace(self.claims, video=grants)
        for track in list(self.publishing.tracks.values()):
            if not grants.allows_source(track.info.source):
                self.send(rtc.SignalResponse(track_unpublished=rtc.TrackUnpublishedResponse(track_sid=track.sid)))
                self.publishing.unpublish(track)
        if not grants.can_publish_data:
            self.data_tracks.unpublish_all()
        self.subscriptions.reconcile_all()
        # The real server's notion here: who could publish this moment.
        self.is_publisher = grants.can_publish and self.publisher.state is State.CONNECTED
        self.changed()
        self.room.broadcast(self, immediate=True)
        self.send_token()

    # the end

    def close_signal(self) -> None:
        """Close its signalling connection after what is queued."""
        if self.connection is not None:
            self.connection.close()

    def full_reconnect(self, reason: models.DisconnectReason) -> None:
        """End the session and ask the client to join anew."""
        self.send_leave(reason, rtc.LeaveRequest.Action.RECONNECT)
        self.close(reason, send_leave=False)

    def close(self, reason: models.DisconnectReason, *, send_leave: bool = True) -> None:
        """End the session."""
        if self.ended:
            return
        if send_leave:
            self.send_leave(reason, rtc.LeaveRequest.Action.DISCONNECT)
        self.disconnect_reason = reason
        self.state = _STATES.DISCONNECTED
        self.changed()
        self._cancel_departure()
        self.subscriptions.close()
        self.room.remove(self)
        self.publishing.close()
        for transport in self.transports:
            transport.close()
        self.close_signal()
        self.closed.set()
