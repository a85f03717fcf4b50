"""Tracks: audio or video of ours, to be published, or of others, received."""

# ruff: noqa: SLF001 - streams and publications are told through hooks that are not for users

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, MutableSet
from typing import TYPE_CHECKING, Any, ClassVar, get_args
from weakref import WeakSet

from ..core.packet_trailer import MetadataWindow
from ..enums import StreamState, TrackKind
from .emitter import EventEmitter
from .event_names import TrackEventTypes
from .stats import read_stats

if TYPE_CHECKING:
    from .. import stats
    from ..media.audio_source import AudioSource
    from ..media.frame_processor import StreamPlace
    from ..media.video_source import VideoSource
    from ..peer.tracks import RemoteMedia
    from .handler_tasks import HandlerTasks
    from .track_publication import LocalTrackPublication

__all__ = [
    "AudioTrack",
    "LocalAudioTrack",
    "LocalTrack",
    "LocalVideoTrack",
    "RemoteAudioTrack",
    "RemoteTrack",
    "RemoteVideoTrack",
    "Track",
    "VideoTrack",
]


class Track(ABC, EventEmitter[TrackEventTypes]):
    """Audio or video.

    It has the room's events that concern it, with the room's arguments, and `stream_state_changed(state)`.

    Args:
        name: Its name.
        tasks: Runs its coroutine handlers.
    """

    _event_names = frozenset(get_args(TrackEventTypes))
    _kind: ClassVar[TrackKind]

    def __init__(self, name: str, *, tasks: HandlerTasks | None = None) -> None:
        super().__init__(tasks=tasks)
        self._name = name
        self._sid = ""
        self._muted = False
        self._stream_state = StreamState.STATE_ACTIVE
        # The streams that read the track enter themselves here (see `media.frame_stream.StreamTrack`).
        self._streams: MutableSet[Any] = WeakSet()
        self._place: StreamPlace | None = None  # while it is in a room (see `stream_places`)

    @property
    def sid(self) -> str:
        """The server's id of the track (`TR_…`); of a local track, that of its last publication, or an empty string."""
        return self._sid

    @property
    def name(self) -> str:
        """The name the publisher gave it."""
        return self._name

    @property
    def kind(self) -> TrackKind:
        """Audio or video."""
        return self._kind

    @property
    def stream_state(self) -> StreamState:
        """Whether the server sends the track, or pauses it for lack of bandwidth."""
        return self._stream_state

    @property
    def muted(self) -> bool:
        """Whether its publisher has muted it."""
        return self._muted

    @property
    @abstractmethod
    def _media_track(self) -> Any:
        """What streams read: a `webrtc.MediaStreamTrack`, or `None` while there is none."""

    @abstractmethod
    async def get_stats(self) -> list[stats.RtcStats]:
        """Return the stats of the track; of a local one, those of its senders."""

    def _latest(self) -> tuple[float, int] | None:
        """What was played last, for recordings (see `media.recording_delays.RecordedTrack`)."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sid={self._sid!r}, name={self._name!r})"


class _LocalTrack(Track):
    """A track of ours. It can be published in several rooms, once in each."""

    def __init__(self, name: str, source: Any) -> None:
        super().__init__(name)
        self._source = source
        self._publications: list[LocalTrackPublication] = []

    @property
    def _media_track(self) -> Any:
        return self._source._local.media_track

    def mute(self) -> None:
        """Send silence, or no pictures, wherever the track is published; the others are told. Twice is once."""
        self._set_muted(True)

    def unmute(self) -> None:
        """Send again what the source gives; the others are told. Twice is once."""
        self._set_muted(False)

    def _set_muted(self, muted: bool) -> None:
        self._muted = muted
        for publication in list(self._publications):
            publication._set_muted(muted)

    async def get_stats(self) -> list[stats.RtcStats]:
        """Return the stats of the track's senders; empty while it is not published."""
        return [each for publication in list(self._publications) for each in await publication._sender_stats()]


class LocalAudioTrack(_LocalTrack):
    """Audio of ours; made by `create_audio_track`."""

    _kind = TrackKind.KIND_AUDIO

    @property
    def _media_track(self) -> Any:
        self._source._overheard()
        return super()._media_track

    @staticmethod
    def create_audio_track(name: str, source: AudioSource) -> LocalAudioTrack:
        """Return a track that carries what is captured by `source`."""
        return LocalAudioTrack(name, source)


class LocalVideoTrack(_LocalTrack):
    """Video of ours; made by `create_video_track`."""

    _kind = TrackKind.KIND_VIDEO

    @staticmethod
    def create_video_track(name: str, source: VideoSource) -> LocalVideoTrack:
        """Return a track that carries what is captured by `source`."""
        return LocalVideoTrack(name, source)


class _RemoteTrack(Track):
    """A track of another participant, subscribed.

    Args:
        sid: Its sid.
        name: Its name.
        muted: Whether it is muted.
        media: Its native side.
        tasks: Runs its coroutine handlers.
    """

    def __init__(self, sid: str, name: str, muted: bool, media: RemoteMedia, tasks: HandlerTasks) -> None:
        super().__init__(name, tasks=tasks)
        self._sid = sid
        self._muted = muted
        self._media: RemoteMedia | None = media

    @property
    def _media_track(self) -> Any:
        return None if self._media is None else self._media.media_track

    async def get_stats(self) -> list[stats.RtcStats]:
        """Return the stats of the track's receiver; empty once it is unsubscribed."""
        return [] if self._media is None else read_stats(await self._media.get_stats())

    def _latest(self) -> tuple[float, int] | None:
        return None if self._media is None else self._media.latest()

    def _end(self) -> None:
        """It arrives no more: its streams end after what they hold."""
        self._media = None
        for stream in list(self._streams):
            stream._track_gone()


class RemoteAudioTrack(_RemoteTrack):
    """Audio of another participant."""

    _kind = TrackKind.KIND_AUDIO


class RemoteVideoTrack(_RemoteTrack):
    """Video of another participant."""

    _kind = TrackKind.KIND_VIDEO
    _frame_metadata: MetadataWindow | None = None  # what arrives beside the pictures, if anything does
    _on_demand: Callable[[], None] | None = None  # told when its streams may need it otherwise


LocalTrack = LocalVideoTrack | LocalAudioTrack
RemoteTrack = RemoteVideoTrack | RemoteAudioTrack
AudioTrack = LocalAudioTrack | RemoteAudioTrack
VideoTrack = LocalVideoTrack | RemoteVideoTrack
