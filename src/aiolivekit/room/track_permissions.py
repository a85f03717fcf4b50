"""Who may subscribe to our tracks: said to the server, and said again when a restart made it forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from ..options import ParticipantTrackPermission

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine

__all__ = ["TrackPermissions"]


class TrackPermissions:
    """What the application said last; until it says something, everybody may.

    Args:
        engine: Passes it on.
    """

    def __init__(self, engine: RtcEngine) -> None:
        self._engine = engine
        self._said: rtc.SubscriptionPermission | None = None

    def say(self, allow_all: bool, permissions: Sequence[ParticipantTrackPermission]) -> None:
        """Tell the server who may subscribe to what, in place of all that was said before."""
        self._said = rtc.SubscriptionPermission(
            all_participants=allow_all,
            track_permissions=[
                rtc.TrackPermission(
                    participant_identity=each.participant_identity or "",
                    all_tracks=bool(each.allow_all),
                    track_sids=each.allowed_track_sids,
                )
                for each in permissions
            ],
        )
        self._post(self._said)

    def say_again(self) -> None:
        """Tell a new session, before tracks are published in it: nobody is to get one for a moment."""
        if self._said is not None:
            self._post(self._said)

    def renamed(self, previous: str, sid: str) -> None:
        """Mean a track under its new sid where it was named by its old one."""
        changed = False
        for each in () if self._said is None else self._said.track_permissions:
            if previous in each.track_sids:
                each.track_sids[:] = [sid if known == previous else known for known in each.track_sids]
                changed = True
        if changed:
            self.say_again()

    def _post(self, permission: rtc.SubscriptionPermission) -> None:
        # What is posted may wait; what is said later must not change it.
        request = rtc.SignalRequest()
        request.subscription_permission.CopyFrom(permission)
        self._engine.post_request(request)
