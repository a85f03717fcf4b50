"""Who may subscribe to a publisher's tracks."""

from __future__ import annotations

from collections.abc import Mapping

from livekit.protocol import rtc

__all__ = ["TrackPermissions"]


class TrackPermissions:
    """A publisher's subscription permissions; everybody may until it says otherwise."""

    def __init__(self) -> None:
        self._entries: dict[str, rtc.TrackPermission] | None = None

    def update(self, permission: rtc.SubscriptionPermission, identities: Mapping[str, str]) -> None:
        """Take a publisher's message, which replaces the one before.

        Args:
            permission: The message.
            identities: Identities by sid, for entries that name a sid only.
        """
        if permission.all_participants:
            self._entries = None
            return
        self._entries = {}
        for entry in permission.track_permissions:
            identity = entry.participant_identity or identities.get(entry.participant_sid, "")
            if identity:
                self._entries[identity] = entry

    def allow(self, sid: str, identity: str) -> bool:
        """Whether the participant `identity` may subscribe to the track `sid`."""
        if self._entries is None:
            return True
        entry = self._entries.get(identity)
        return entry is not None and (entry.all_tracks or sid in entry.track_sids)
