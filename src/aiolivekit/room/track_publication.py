"""Publications: that a participant publishes a track, whether or not it is subscribed."""

# ruff: noqa: SLF001 - tracks, publications and participants belong together

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, get_args

from livekit.protocol import models

from ..core.track_settings import Demand, TrackSettings, TrackWishes
from ..enums import EncryptionType, FrameMetadataFeature, TrackKind, TrackSource, VideoQuality
from ..errors import ClosedError
from ..options import TrackPublishOptions
from .dtx_watch import DtxWatch
from .emitter import EventEmitter
from .event_names import PublicationEventTypes
from .stats import read_stats
from .track import LocalTrack, RemoteTrack, Track

if TYPE_CHECKING:
    from .. import stats
    from ..media.audio_source import AudioSource
    from ..peer.tracks import LocalSender, OutgoingTrack
    from .handler_tasks import HandlerTasks

__all__ = ["LocalTrackPublication", "RemoteTrackPublication", "TrackPublication"]

_KINDS = {models.TrackType.AUDIO: TrackKind.KIND_AUDIO, models.TrackType.VIDEO: TrackKind.KIND_VIDEO}


class TrackPublication(EventEmitter[PublicationEventTypes]):
    """A track that a participant publishes.

    It has the room's events that concern it, with the room's arguments; `stream_state_changed(state)`; and
    `subscription_permission_changed(allowed)`, when the publisher allows us the track or no longer does.

    Args:
        info: What the server says of it.
        tasks: Runs its coroutine handlers.
    """

    _event_names = frozenset(get_args(PublicationEventTypes))

    def __init__(self, info: models.TrackInfo, tasks: HandlerTasks) -> None:
        super().__init__(tasks=tasks)
        self._info = info
        self._muted = info.muted
        self._track: Track | None = None

    @property
    def track(self) -> Track | None:
        """The track; of a remote publication only while it is subscribed."""
        return self._track

    @property
    def sid(self) -> str:
        """The server's id of the track (`TR_…`)."""
        return self._info.sid

    @property
    def name(self) -> str:
        """The name the publisher gave it."""
        return self._info.name

    @property
    def kind(self) -> TrackKind:
        """Audio or video."""
        return _KINDS.get(self._info.type, TrackKind.KIND_UNKNOWN)

    @property
    def source(self) -> TrackSource:
        """Where it comes from."""
        return TrackSource.of(self._info.source)

    @property
    def simulcasted(self) -> bool:
        """Whether it is sent in several sizes."""
        return self._info.simulcast

    @property
    def width(self) -> int:
        """Of the picture, in pixels; 0 for audio."""
        return self._info.width

    @property
    def height(self) -> int:
        """Of the picture, in pixels; 0 for audio."""
        return self._info.height

    @property
    def mime_type(self) -> str:
        """Its codec, such as `audio/red` or `video/VP8`; empty until the server knows."""
        return self._info.mime_type

    @property
    def muted(self) -> bool:
        """Whether its publisher has muted it."""
        return self._muted

    @property
    def encryption_type(self) -> EncryptionType:
        """How it is encrypted end to end."""
        return EncryptionType.of(self._info.encryption)

    @property
    def audio_features(self) -> list[int]:
        """`livekit.AudioTrackFeature` numbers."""
        return [int(feature) for feature in self._info.audio_features]

    @property
    def frame_metadata_features(self) -> list[FrameMetadataFeature]:
        """What it carries beside each frame."""
        return [FrameMetadataFeature.of(feature) for feature in self._info.packet_trailer_features]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(sid={self.sid!r}, name={self.name!r}, kind={self.kind.name}, "
            f"source={self.source.name})"
        )


class _Publisher(Protocol):
    """What a local publication asks of the participant."""

    def _publication_muted(self, publication: LocalTrackPublication) -> None: ...

    async def _replace_track(self, publication: LocalTrackPublication, track: LocalTrack) -> None: ...


class LocalTrackPublication(TrackPublication):
    """A track of ours that is published."""

    def __init__(
        self,
        info: models.TrackInfo,
        track: LocalTrack,
        outgoing: OutgoingTrack,
        sender: LocalSender,
        publisher: _Publisher,
        tasks: HandlerTasks,
        options: TrackPublishOptions,
    ) -> None:
        super().__init__(info, tasks)
        self._options = options
        self._track: LocalTrack | None = track
        self._outgoing = outgoing
        # What names it in our offers, whichever track is sent.
        self._cid = outgoing.cid
        self._replacing = False
        self._sender: LocalSender | None = sender
        self._backup: LocalSender | None = None  # what sends the second codec, while it is wanted
        self._dtx_watch: DtxWatch | None = None
        self._publisher = publisher
        self._subscribed = asyncio.Event()
        self._ended = False

    @property
    def track(self) -> LocalTrack | None:
        """The track, until it is unpublished."""
        return self._track

    async def wait_for_subscription(self, *, timeout: float | None = None) -> None:
        """Wait until somebody has subscribed.

        Args:
            timeout: Seconds to wait at most; `None` waits as long as the track is published.

        Raises:
            TimeoutError: If nobody has by then.
            ClosedError: If the track is unpublished first, or the room disconnected.
        """
        async with asyncio.timeout(timeout):
            await self._subscribed.wait()
        if self._ended:
            raise ClosedError("the track was unpublished before anybody subscribed")

    async def replace_track(self, track: LocalTrack) -> None:
        """Send another track from now on, under the same sid, without a negotiation (not in `livekit.rtc`).

        Subscribers go on receiving the same track and hear or see the new one in it. It takes over how the track was
        published: codec, number of layers, mono or stereo; bitrates are those for the size of its picture. Whether it
        is muted is the new track's to say. The track that is replaced is published no more, and can be published
        again. A call that is cancelled ends when it is done, a few milliseconds later.

        Args:
            track: A track of the same kind that is not published in this room.

        Raises:
            AlreadyPublishedError: If it is published in this room already.
            PublishError: If it is of another kind, or the track is being replaced already.
            MediaError: If its source is closed, or libwebrtc cannot send it; then the old one is still sent.
            ClosedError: If the track was unpublished.
        """
        await self._publisher._replace_track(self, track)

    def _first_subscription(self) -> bool:
        """Note that somebody subscribed; return whether that is news."""
        if self._subscribed.is_set():
            return False
        self._subscribed.set()
        return True

    def _set_muted(self, muted: bool, *, by_server: bool = False) -> None:
        if self._muted == muted:
            return
        self._muted = muted
        self._outgoing.enabled = not muted
        if self._backup is not None:
            self._backup.track.enabled = not muted
        if not by_server:
            self._publisher._publication_muted(self)

    def _renew(self, info: models.TrackInfo, sender: LocalSender) -> None:
        """It is published again, in a new session."""
        self._info = info
        self._sender = sender
        self._cid = sender.cid
        self._sent_anew()

    def _sent_anew(self) -> None:
        """Another sender sends its source."""
        if self._dtx_watch is not None:
            self._dtx_watch.restart()

    def _watch_silence(self, source: AudioSource) -> None:
        """It sends `source` from now on."""
        self._leave_silence()
        self._dtx_watch = DtxWatch(source, lambda: self._sender, dtx=self._options.dtx is not False)

    def _leave_silence(self) -> None:
        if self._dtx_watch is not None:
            self._dtx_watch.close()
            self._dtx_watch = None

    async def _send_outgoing(self) -> None:
        """Have the sender send what is to be sent, if it does not yet."""
        if self._sender is not None and self._sender.track is not self._outgoing:
            await self._sender.replace(self._outgoing)

    def _replace_outgoing(self, outgoing: OutgoingTrack) -> None:
        """Publish it with another id from now on."""
        previous, self._outgoing = self._outgoing, outgoing
        outgoing.enabled = not self.muted
        previous.close()

    async def _sender_stats(self) -> list[stats.RtcStats]:
        return [] if self._sender is None else read_stats(await self._sender.get_stats())

    def _end(self) -> None:
        """It is published no more."""
        track, self._track = self._track, None
        self._sender = None
        self._leave_silence()
        self._outgoing.close()
        if track is not None and self in track._publications:
            track._publications.remove(self)
        if not self._subscribed.is_set():
            self._ended = True
            self._subscribed.set()


class _Reception(Protocol):
    """Who passes on what is wished of a remote publication."""

    def set_subscribed(self, publication: RemoteTrackPublication, subscribed: bool) -> None: ...

    def set_wishes(self, publication: RemoteTrackPublication, wishes: TrackWishes) -> None: ...


class RemoteTrackPublication(TrackPublication):
    """A track that another participant publishes.

    Args:
        info: What the server says of it.
        participant_sid: Whose it is.
        auto_subscribe: Whether the server subscribes us without being asked.
        reception: Passes our wishes on.
        tasks: Runs its coroutine handlers.
    """

    def __init__(
        self,
        info: models.TrackInfo,
        participant_sid: str,
        auto_subscribe: bool,
        reception: _Reception,
        tasks: HandlerTasks,
    ) -> None:
        super().__init__(info, tasks)
        self._track: RemoteTrack | None = None
        self._participant_sid = participant_sid
        self._wanted = auto_subscribe
        self._allowed = True
        self._reception = reception
        self._wishes = TrackWishes()
        self._demand: Demand | None = None  # with adaptive stream, once it is known
        self._sent: TrackSettings | None = None  # what the server was told of this subscription

    @property
    def track(self) -> RemoteTrack | None:
        """The track, while it is subscribed."""
        return self._track

    @property
    def subscribed(self) -> bool:
        """Whether the track arrives."""
        return self._track is not None

    @property
    def subscription_allowed(self) -> bool:
        """Whether the publisher allows us the track."""
        return self._allowed

    def set_subscribed(self, subscribed: bool) -> None:
        """Ask the server to send us the track, or to stop; `track_subscribed` or `track_unsubscribed` follows.

        Args:
            subscribed: Whether it is wanted.

        Raises:
            ClosedError: If the room is disconnected.
        """
        self._reception.set_subscribed(self, subscribed)

    def set_enabled(self, enabled: bool) -> None:
        """Have a subscribed track sent to us or not; unlike unsubscribing, it goes on at once when enabled again.

        Args:
            enabled: Whether it is sent.

        Raises:
            ClosedError: If the room is disconnected.
        """
        self._reception.set_wishes(self, self._wishes.with_enabled(enabled))

    def set_video_quality(self, quality: VideoQuality | int) -> None:
        """Choose which layer of a video track we are sent, in place of dimensions.

        The server sends the next lower one where that layer is not sent, and pauses nothing for it.

        Args:
            quality: Low, medium or high.

        Raises:
            ValueError: If there is no such quality.
            ClosedError: If the room is disconnected.
        """
        self._reception.set_wishes(self, self._wishes.with_quality(quality))

    def set_video_dimensions(self, width: int, height: int) -> None:
        """Say at which size a video track is shown; the server sends the smallest layer that covers it.

        Args:
            width: Pixels.
            height: Pixels.

        Raises:
            ValueError: If they are not positive.
            ClosedError: If the room is disconnected.
        """
        self._reception.set_wishes(self, self._wishes.with_dimensions(width, height))

    def set_video_fps(self, fps: float) -> None:
        """Say how many pictures a second are enough; the server leaves out the rest where the codec allows it.

        Args:
            fps: Pictures a second.

        Raises:
            ValueError: If it is not positive.
            ClosedError: If the room is disconnected.
        """
        self._reception.set_wishes(self, self._wishes.with_fps(fps))

    def follow_streams(self) -> None:
        """Take back what was set of the track, so that it is sent as its streams need it (see `adaptive_stream`).

        Raises:
            ClosedError: If the room is disconnected.
        """
        self._reception.set_wishes(self, TrackWishes())

    def _update(self, info: models.TrackInfo) -> None:
        self._info = info
        self._muted = info.muted
        if self._track is not None:
            self._track._muted = info.muted
            self._track._name = info.name
