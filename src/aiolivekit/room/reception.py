"""What we wish of the tracks of others: whether they are sent to us, and how."""

# ruff: noqa: SLF001 - publications and wishes are kept in step here

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from livekit.protocol import models, rtc

from ..core.track_settings import TrackSettings, TrackWishes
from ..enums import VideoQuality
from ..errors import ClosedError

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine
    from .adaptive_stream import AdaptiveStream
    from .track_publication import RemoteTrackPublication

__all__ = ["Reception"]

_MAX_WISHES = 4096
_QUALITIES = {
    VideoQuality.VIDEO_QUALITY_LOW: models.VideoQuality.LOW,
    VideoQuality.VIDEO_QUALITY_MEDIUM: models.VideoQuality.MEDIUM,
    VideoQuality.VIDEO_QUALITY_HIGH: models.VideoQuality.HIGH,
}
_DEFAULTS = TrackSettings()
_NO_WISHES = TrackWishes()

T = TypeVar("T")


class Reception:
    """Our wishes by track sid. A restart makes the server forget them, so they are said again as tracks come back.

    Args:
        engine: Passes them on.
        auto_subscribe: Whether the server subscribes us to tracks without being asked.
    """

    def __init__(self, engine: RtcEngine, auto_subscribe: bool) -> None:
        self._engine = engine
        self.auto_subscribe = auto_subscribe
        # What differs from what the server does by itself.
        self._subscribed: OrderedDict[str, bool] = OrderedDict()
        self._wishes: OrderedDict[str, TrackWishes] = OrderedDict()
        self._adaptive: AdaptiveStream | None = None

    def adapt(self) -> None:
        """Have video tracks sent as their streams need them, where nothing else is said of them."""
        from .adaptive_stream import AdaptiveStream

        self._adaptive = AdaptiveStream(self._configure)

    # -- what the application says --

    def set_subscribed(self, publication: RemoteTrackPublication, subscribed: bool) -> None:
        """Ask the server for a track, or to stop sending it.

        Raises:
            ClosedError: If the room is disconnected.
        """
        self._check_open()
        _remember(self._subscribed, publication.sid, None if subscribed == self.auto_subscribe else subscribed)
        self._subscribe(publication, subscribed)

    def set_wishes(self, publication: RemoteTrackPublication, wishes: TrackWishes) -> None:
        """Ask the server to send a track otherwise.

        Raises:
            ClosedError: If the room is disconnected.
        """
        self._check_open()
        publication._wishes = wishes
        _remember(self._wishes, publication.sid, None if wishes == _NO_WISHES else wishes)
        self._configure(publication)

    # -- what happens --

    def published(self, publication: RemoteTrackPublication) -> None:
        """A track is known, perhaps again."""
        publication._wishes = self._wishes.get(publication.sid, _NO_WISHES)
        wish = self._subscribed.get(publication.sid)
        if wish is not None:
            publication._wanted = wish
            if wish:
                self._subscribe(publication, wish)

    def subscribed(self, publication: RemoteTrackPublication) -> None:
        """A track arrives, perhaps again."""
        if not publication._wanted and publication.sid in self._subscribed:
            # A new session begins with what the server does by itself, and heeds no wish before that.
            self._subscribe(publication, subscribed=False)
            return
        publication._demand = publication._sent = None
        if self._adaptive is not None and self._adaptive.follow(publication):
            return
        if publication._wishes.settings() != _DEFAULTS:
            self._configure(publication)

    def close(self) -> None:
        """The room is disconnected."""
        if self._adaptive is not None:
            self._adaptive.close()

    # -- for a resume --

    def subscription(self, publications: Iterable[RemoteTrackPublication]) -> rtc.UpdateSubscription:
        """Return for which tracks our wish differs from what the server does by itself (`SyncState.subscription`)."""
        update = rtc.UpdateSubscription(subscribe=not self.auto_subscribe)
        for publication in publications:
            if publication._wanted != self.auto_subscribe:
                sids = [publication.sid]
                update.track_sids.extend(sids)
                update.participant_tracks.add(participant_sid=publication._participant_sid, track_sids=sids)
        return update

    def disabled(self, publications: Iterable[RemoteTrackPublication]) -> list[str]:
        """Return the tracks that are switched off (`SyncState.track_sids_disabled`)."""
        return [each.sid for each in publications if each.subscribed and not _settings_of(each).enabled]

    # -- requests --

    def _check_open(self) -> None:
        if self._engine.closed:
            raise ClosedError("the room is disconnected")

    def _subscribe(self, publication: RemoteTrackPublication, subscribed: bool) -> None:
        publication._wanted = subscribed
        sids = [publication.sid]
        tracks = models.ParticipantTracks(participant_sid=publication._participant_sid, track_sids=sids)
        update = rtc.UpdateSubscription(track_sids=sids, subscribe=subscribed, participant_tracks=[tracks])
        self._engine.post_request(rtc.SignalRequest(subscription=update))

    def _configure(self, publication: RemoteTrackPublication) -> None:
        settings = _settings_of(publication)
        if self._adaptive is not None:
            if publication._sent == settings:
                return
            publication._sent = settings
        update = rtc.UpdateTrackSettings(
            track_sids=[publication.sid],
            disabled=not settings.enabled,
            quality=_QUALITIES[settings.quality],
            width=settings.width,
            height=settings.height,
            fps=settings.fps,
        )
        self._engine.post_request(rtc.SignalRequest(track_setting=update))


def _settings_of(publication: RemoteTrackPublication) -> TrackSettings:
    return publication._wishes.settings(publication._demand)


def _remember(wishes: OrderedDict[str, T], sid: str, wish: T | None) -> None:
    wishes.pop(sid, None)
    if wish is not None:
        wishes[sid] = wish
        if len(wishes) > _MAX_WISHES:
            wishes.popitem(last=False)
