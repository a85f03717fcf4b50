"""Which remote track arrives in which media section.

The W3C `track` event does not fire when a section goes from one track to another, so the answer is read from the
server's descriptions instead: each applied description is compared with what was there before. The server names a
track in the section's msid (stream `PA_…|…`, track `TR_…`); with a single peer connection, where our offer came
first, in `SessionDescription.mid_to_track_id`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping

from ..core.sdp import media_sections
from ..peer.connection import PeerConnection
from .events import MediaTrackAdded, MediaTrackRemoved, SessionEvent

__all__ = ["IncomingTracks"]

_logger = logging.getLogger("aiolivekit.session")


class IncomingTracks:
    """The remote tracks of one session by section.

    Args:
        emit: Takes `MediaTrackAdded` and `MediaTrackRemoved`.
    """

    def __init__(self, emit: Callable[[SessionEvent], None]) -> None:
        self._emit = emit
        self._sections: dict[str, tuple[str, str]] = {}

    @property
    def mids(self) -> set[str]:
        """The sections in which something arrives."""
        return set(self._sections)

    def update(
        self, peer: PeerConnection, sdp: str, track_ids: Mapping[str, str], rejected: Container[str] = ()
    ) -> None:
        """Compare a description of the server, just applied, with what was there before, and tell the differences.

        Args:
            peer: Where it was applied.
            sdp: The description.
            track_ids: The tracks by section, where the description does not name them.
            rejected: The sections that our answer rejects: nothing arrives in them, whatever the server offered.
        """
        now: dict[str, tuple[str, str]] = {}
        for section in media_sections(sdp):
            participant_sid = section.stream_id.partition("|")[0]
            track_sid = track_ids.get(section.mid) or section.track_id
            if section.sends and section.mid not in rejected and participant_sid and track_sid:
                now[section.mid] = (participant_sid, track_sid)
        before, self._sections = self._sections, now
        for mid, (participant_sid, track_sid) in before.items():
            if now.get(mid) != (participant_sid, track_sid):
                self._emit(MediaTrackRemoved(participant_sid, track_sid))
        for mid, (participant_sid, track_sid) in now.items():
            if before.get(mid) == (participant_sid, track_sid):
                continue
            media = peer.remote_media(mid)
            if media is None:
                _logger.warning("the server sends in a section we do not have")
                continue
            self._emit(MediaTrackAdded(media, participant_sid, track_sid))
