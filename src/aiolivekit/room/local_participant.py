"""The local participant: what we say about ourselves, send and publish."""

# ruff: noqa: SLF001 - the classes of this package belong together

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from livekit.protocol import models, rtc

from ..core.participants import LocalFields
from ..enums import DataPacketKind
from ..errors import RequestError, SignalClosedError
from ..options import ParticipantTrackPermission, TrackPublishOptions
from ..session.requests import AnswerLostError
from .chat import ChatMethods
from .data_flow import DataFlowMethods
from .data_tracks import DataTrackMethods
from .handler_tasks import HandlerTasks
from .local_tracks import Announce, LocalTracks
from .metrics import MetricsBatch, metrics_packet
from .packets import Transcription, dtmf_packet, transcription_packet, user_packet
from .participant import Participant
from .replacing import replace_track
from .rpc import RpcMethods
from .stream_methods import StreamMethods
from .track import LocalTrack
from .track_publication import LocalTrackPublication, TrackPublication

if TYPE_CHECKING:
    from ..data.durable import Durable
    from ..data.streams import DataStreams
    from ..engine.engine import RtcEngine

__all__ = ["LocalParticipant"]

_logger = logging.getLogger("aiolivekit.room")

_KINDS = (DataPacketKind.KIND_LOSSY, DataPacketKind.KIND_RELIABLE)


class LocalParticipant(StreamMethods, ChatMethods, RpcMethods, DataFlowMethods, DataTrackMethods, Participant):
    """The program itself as a participant; `Room.local_participant`.

    Args:
        info: What the server says of us.
        engine: Does what is asked.
        announce: Tells of events.
        amend: Takes what the server has just accepted about us.
        tasks: Runs coroutine handlers.
    """

    def __init__(
        self,
        info: models.ParticipantInfo,
        engine: RtcEngine,
        announce: Announce,
        amend: Callable[[LocalFields], None],
        tasks: HandlerTasks,
    ) -> None:
        RpcMethods.__init__(self)
        Participant.__init__(self, info, tasks)
        self._engine = engine
        self._amend = amend
        self._warned_of_data = False
        self._durable: Durable[Any] | None = None
        self._data_streams: DataStreams | None = None
        self._tracks = LocalTracks(engine, self, announce, tasks)

    @property
    def track_publications(self) -> Mapping[str, LocalTrackPublication]:
        """The tracks we publish, by sid."""
        return MappingProxyType(self._tracks.publications)

    # -- data ---------------------------------------------------------------------------------------

    async def publish_data(
        self,
        payload: bytes | str,
        *,
        reliable: bool = True,
        destination_identities: Sequence[str] = [],
        topic: str = "",
        durable: bool = False,
    ) -> None:
        """Send data to the others in the room.

        Packets arrive in the order of the calls. The call only waits while much is queued already.

        Args:
            payload: The data; text is sent as UTF-8.
            reliable: Whether a lost packet is sent again.
            destination_identities: Who gets it; everybody if empty.
            topic: What the receivers may tell it by.
            durable: Whether those who use this package too get it even if they, or we, are out of the room for a
                while: they acknowledge, and it is kept and sent again (docs/durable.md, `RoomOptions.durable`).

        Raises:
            ValueError: If it is to be durable, but not reliable.
            PacketTooLargeError: If it is larger than the server takes (64,000 bytes with its envelope).
            OutboxFullError: If too many packets wait for the connection, or durable ones for their receivers.
            DataTimeoutError: If the connection does not come back in time.
            ClosedError: If the room is disconnected.
        """
        packet = user_packet(payload, topic, destination_identities)
        if not self._info.permission.can_publish_data and not self._warned_of_data:
            self._warned_of_data = True
            _logger.warning("data is being published without the permission to; the server drops it")
        if durable:
            if not reliable:
                raise ValueError("a durable message cannot be sent unreliably")
            assert self._durable is not None
            await self._durable.publish(packet)
            return
        await self._engine.publish_data(packet, _KINDS[reliable])

    async def publish_dtmf(self, *, code: int, digit: str) -> None:
        """Press a telephone key.

        Args:
            code: Its number.
            digit: What is printed on it.

        Raises:
            ClosedError: If the room is disconnected.
        """
        await self._engine.publish_data(dtmf_packet(code, digit))

    async def publish_transcription(self, transcription: Transcription) -> None:
        """Send somebody's words as text; the server passes on those of agents only.

        Args:
            transcription: The words, and who spoke them.

        Raises:
            ClosedError: If the room is disconnected.
        """
        await self._engine.publish_data(transcription_packet(transcription))

    async def publish_metrics(self, metrics: MetricsBatch) -> None:
        """Tell what we measured. Servers pass it on to those with the grant `canSubscribeMetrics`, if at all.

        Args:
            metrics: What.

        Raises:
            ClosedError: If the room is disconnected.
        """
        await self._engine.publish_data(metrics_packet(metrics))

    # -- what we say about ourselves ----------------------------------------------------------------

    async def set_metadata(self, metadata: str) -> None:
        """Change our metadata; needs the permission `can_update_metadata`.

        Args:
            metadata: The new metadata. The server takes an empty string for "as before".

        Raises:
            RequestError: If the server refuses.
            RequestTimeoutError: If it does not answer.
            ClosedError: If the room is disconnected.
        """
        await self._update("set the metadata", LocalFields(metadata=metadata or None))

    async def set_name(self, name: str) -> None:
        """Change our name; needs the permission `can_update_metadata`.

        Args:
            name: The new name. The server takes an empty string for "as before".

        Raises:
            RequestError: If the server refuses.
            RequestTimeoutError: If it does not answer.
            ClosedError: If the room is disconnected.
        """
        await self._update("set the name", LocalFields(name=name or None))

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        """Change some of our attributes; needs the permission `can_update_metadata`.

        Args:
            attributes: The attributes to set; one that is an empty string is removed, the others stay.

        Raises:
            RequestError: If the server refuses.
            RequestTimeoutError: If it does not answer.
            ClosedError: If the room is disconnected.
        """
        await self._update("set the attributes", LocalFields(attributes=dict(attributes)))

    async def _update(self, what: str, fields: LocalFields) -> None:
        update = rtc.UpdateParticipantMetadata(
            metadata=fields.metadata or "",
            name=fields.name or "",
            attributes=fields.attributes,
        )
        response = await self._asked(update)
        if response.reason != rtc.RequestResponse.OK:
            raise _refused(what, response)
        # The server tells everybody, us too, but in no order with its answer.
        self._amend(fields)

    async def _asked(self, update: rtc.UpdateParticipantMetadata) -> rtc.RequestResponse:
        engine = self._engine
        while True:
            update.request_id = engine.new_request_id()
            try:
                await engine.send_request(rtc.SignalRequest(update_metadata=update))
                return await engine.get_response(update.request_id)
            except (AnswerLostError, SignalClosedError):
                # Lost in a resume or a restart. It only says how we are to be, so it can be said again.
                if engine.closed:
                    raise
                await engine.wait_connected()

    def set_track_subscription_permissions(
        self,
        *,
        allow_all_participants: bool,
        participant_permissions: list[ParticipantTrackPermission] | None = None,
    ) -> None:
        """Say who may subscribe to our tracks, in place of what was said before. It holds over reconnects.

        A participant that loses the permission for a track it subscribes to loses the track (`track_unsubscribed`,
        `track_subscription_permission_changed`), and gets it back with the permission.

        Args:
            allow_all_participants: Whether everybody may; then the other argument does not count.
            participant_permissions: Who may subscribe to what; whoever is not named may not.
        """
        self._tracks.permissions.say(allow_all_participants, participant_permissions or ())

    # -- tracks -------------------------------------------------------------------------------------

    async def publish_track(
        self,
        track: LocalTrack,
        options: TrackPublishOptions = TrackPublishOptions(),  # noqa: B008 - the official default; it is not changed
    ) -> LocalTrackPublication:
        """Publish a track. If the call fails or is cancelled, the track is not published.

        Args:
            track: The track; muted, it is published muted.
            options: How.

        Returns:
            The publication, in force: the server has answered.

        Raises:
            AlreadyPublishedError: If it is published in this room already.
            PublishError: If the options contradict themselves, or the server ended the track at once.
            RequestError: If the server refuses, as when the permission is missing.
            RequestTimeoutError: If it does not answer.
            MediaError: If libwebrtc cannot send the track so (`UnsupportedError`), or its source is closed.
            NegotiationError: If the media path could not be agreed on.
            ClosedError: If the room is disconnected.
        """
        return await self._tracks.publish(track, TrackPublishOptions.of(options))

    async def unpublish_track(self, track_sid: str) -> None:
        """Publish a track no more. The track and its source live on, and can be published again.

        Args:
            track_sid: The sid of its publication.

        Raises:
            PublishError: If no track of ours has that sid.
        """
        self._tracks.unpublish(track_sid)

    # -- for tracks and publications ----------------------------------------------------------------

    def _publication_muted(self, publication: LocalTrackPublication) -> None:
        self._tracks.post_muted(publication)

    async def _replace_track(self, publication: LocalTrackPublication, track: LocalTrack) -> None:
        await replace_track(self._tracks, publication, track)

    def _refresh(self, publication: TrackPublication) -> None:
        """Give a publication what the server said of it before it was made."""
        for info in self._info.tracks:
            if info.sid == publication.sid:
                publication._info = info


def _refused(what: str, response: rtc.RequestResponse) -> RequestError:
    try:
        name = rtc.RequestResponse.Reason.Name(response.reason)
    except ValueError:
        name = ""
    return RequestError(what, reason=response.reason, reason_name=name, detail=response.message)
