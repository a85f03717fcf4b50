"""Another track in the place of one that is published: same publication, same sid, no negotiation."""

# ruff: noqa: SLF001 - tracks and publications are kept in step here

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.protocol import rtc

from .._tasks import finish_despite_cancel
from ..core.encodings import resized_encodings
from ..errors import ClosedError, MediaError, PublishError
from ..peer.tracks import OutgoingTrack
from .track import LocalAudioTrack, LocalTrack, LocalVideoTrack
from .track_publication import LocalTrackPublication

if TYPE_CHECKING:
    from .local_tracks import LocalTracks

__all__ = ["replace_track"]


async def replace_track(tracks: LocalTracks, publication: LocalTrackPublication, track: LocalTrack) -> None:
    """Send another track in a publication (see `LocalTrackPublication.replace_track`)."""
    previous = publication.track
    if not isinstance(track, LocalAudioTrack | LocalVideoTrack):
        raise TypeError(f"a local track is published, not {type(track).__name__}")
    if previous is None:
        raise ClosedError("the track was unpublished")
    if publication._replacing:
        raise PublishError("the track is being replaced already")
    if track is previous:
        return
    if track.kind is not previous.kind:
        raise PublishError("audio is replaced by audio, and video by video")
    tracks.reserve(track)
    publication._replacing = True
    try:
        # Whoever is cancelled meanwhile has replaced it all the same: half of it would be no state to leave it in.
        await finish_despite_cancel(_replace(tracks, publication, track))
    finally:
        publication._replacing = False
        tracks.release(track)


async def _replace(tracks: LocalTracks, publication: LocalTrackPublication, track: LocalTrack) -> None:
    previous, before = publication.track, publication._outgoing
    if previous is None:
        raise ClosedError("the track was unpublished")
    outgoing = OutgoingTrack(track._source._local)
    outgoing.enabled = not track.muted
    # First here, then in libwebrtc: a restart meanwhile publishes the new one.
    publication._track, publication._outgoing = track, outgoing
    try:
        await _resize(publication, track)
        await publication._send_outgoing()
    except MediaError:
        outgoing.close()
        if publication.track is None:
            before.close()
            _detach(previous, publication)
        else:
            publication._track, publication._outgoing = previous, before
        raise
    _settle(tracks, publication, previous, before)
    await tracks.backups.follow(publication)
    if publication.track is None:
        raise ClosedError("the track was unpublished while it was being replaced")


def _settle(
    tracks: LocalTracks, publication: LocalTrackPublication, previous: LocalTrack, before: OutgoingTrack
) -> None:
    """Bring tracks, streams and server in line with what is sent now."""
    before.close()
    place, previous._place = previous._place, None
    _detach(previous, publication)
    track = publication.track
    if track is None:
        return
    tracks.attach(publication, track)
    track._place = place
    for stream in list(track._streams):
        stream._place_changed()
    # It may have been muted meanwhile, when the publication did not follow it yet.
    publication._outgoing.enabled = not track.muted
    publication._set_muted(track.muted)
    if isinstance(track, LocalVideoTrack):
        size = (track._source.width, track._source.height)
        if size != (publication.width, publication.height):
            publication._info.width, publication._info.height = size
            update = rtc.UpdateLocalVideoTrack(track_sid=publication.sid, width=size[0], height=size[1])
            tracks._engine.post_request(rtc.SignalRequest(update_video_track=update))


async def _resize(publication: LocalTrackPublication, track: LocalTrack) -> None:
    """Send a picture of another size with the bitrates that are right for it."""
    sender = publication._sender
    if sender is None or not isinstance(track, LocalVideoTrack):
        return
    source = track._source
    if (source.width, source.height) == (publication.width, publication.height):
        return
    try:
        wanted = resized_encodings(
            sender.encodings, source.width, source.height, publication._options, screencast=source.is_screencast
        )
    except ValueError as error:
        raise MediaError(f"the track cannot be sent instead: {error}") from error
    await sender.encode(wanted)


def _detach(track: LocalTrack, publication: LocalTrackPublication) -> None:
    if publication in track._publications:
        track._publications.remove(publication)
    if not track._publications:
        for stream in list(track._streams):
            stream._track_gone()
