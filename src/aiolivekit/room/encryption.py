"""How a room's encryption hangs together with its participants and events."""

# ruff: noqa: SLF001 - the manager's side that is not the user's

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ..e2ee.manager import E2EEManager
from ..e2ee.options import E2EEOptions
from ..enums import EncryptionState
from ..errors import ConnectError, EncryptionError
from ..options import RoomOptions
from . import events

if TYPE_CHECKING:
    from .local_tracks import Announce
    from .members import Members
    from .participant import Participant

__all__ = ["RoomEncryption", "e2ee_manager_of"]


def e2ee_manager_of(options: RoomOptions) -> E2EEManager:
    """Return who encrypts a room.

    Raises:
        ConnectError: If it cannot be encrypted as the options say. Better not at all than in the clear.
    """
    chosen = options.encryption or options.e2ee
    if chosen is not None and not isinstance(chosen, E2EEOptions):
        raise ConnectError(f"a room is encrypted by E2EEOptions, not by {type(chosen).__name__}")
    if options.e2ee is not None and options.encryption is None:
        warnings.warn("`e2ee` encrypts tracks only; use `encryption`", DeprecationWarning, stacklevel=4)
    try:
        return E2EEManager(chosen, data=options.encryption is not None)
    except (EncryptionError, ValueError) as error:
        raise ConnectError(f"the room cannot be encrypted so: {error}") from error


class RoomEncryption:
    """Tells how the encryption of a room goes.

    Args:
        manager: Encrypts.
        members: Who is here.
        announce: Tells of events.
    """

    def __init__(self, manager: E2EEManager, members: Members, announce: Announce) -> None:
        self._members = members
        self._announce = announce
        manager._listen(self._state_changed)

    def _state_changed(self, identity: str, state: EncryptionState) -> None:
        participant = self._members.by_identity(identity)
        if participant is not None:
            self._announce(events.E2eeStateChanged(participant, state), participant)

    def start(self) -> None:
        """Tell of those whose tracks were there before us."""
        for participant in list(self._members.remote.values()):
            self.check(participant)

    def check(self, participant: Participant) -> None:
        """Tell whether all tracks of a participant are encrypted, if that has changed."""
        publications = participant.track_publications.values()
        encrypted = bool(publications) and all(each._info.encryption for each in publications)
        if encrypted != participant._is_encrypted:
            participant._is_encrypted = encrypted
            self._announce(events.ParticipantEncryptionStatusChanged(participant, encrypted), participant)

    def follow(self, event: events.RoomEvent) -> None:
        """Follow what becomes of tracks."""
        match event:
            case events.TrackPublished() | events.TrackUnpublished():
                self.check(event.participant)
            case events.LocalTrackPublished() | events.LocalTrackUnpublished() | events.LocalTrackRepublished():
                self.check(self._members.local)
