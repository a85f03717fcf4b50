"""What a room says of its encryption, and what it asks the server for."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.protocol import models

from aiolivekit import EncryptionState, EncryptionType
from aiolivekit.e2ee.options import E2EEOptions, KeyProviderOptions
from aiolivekit.enums import KeyDerivationFunction
from aiolivekit.errors import ConnectError, NotConnectedError
from aiolivekit.options import RoomOptions, TrackPublishOptions
from aiolivekit.room.announcement import Announcement
from aiolivekit.room.encryption import e2ee_manager_of
from aiolivekit.room.room import Room

from .fakes import Connector, info, track

KEYS = KeyProviderOptions(shared_key=b"key", key_derivation_function=KeyDerivationFunction.HKDF)


def test_options_make_the_manager() -> None:
    assert not e2ee_manager_of(RoomOptions()).enabled
    manager = e2ee_manager_of(RoomOptions(encryption=E2EEOptions(KEYS)))
    assert manager.enabled
    assert manager._packets is not None
    assert manager._packets.protects
    with pytest.warns(DeprecationWarning, match="encryption"):
        older = e2ee_manager_of(RoomOptions(e2ee=E2EEOptions(KEYS)))
    assert older.enabled
    assert older._packets is not None
    assert not older._packets.protects
    for wrong in (
        RoomOptions(encryption=E2EEOptions(KEYS, encryption_type=EncryptionType.NONE)),
        RoomOptions(encryption=E2EEOptions(KeyProviderOptions(key_ring_size=0))),
        RoomOptions(encryption="a key"),
    ):
        with pytest.raises(ConnectError, match="encrypt"):
            e2ee_manager_of(wrong)


async def test_a_room_that_was_never_connected_has_no_manager() -> None:
    with pytest.raises(NotConnectedError):
        _ = Room().e2ee_manager


def gcm(sid: str) -> models.TrackInfo:
    made = track(sid)
    made.encryption = models.Encryption.GCM
    return made


async def test_it_is_told_whether_all_tracks_of_a_participant_are_encrypted(connector: Connector) -> None:
    connector.others = (info("ann", tracks=[gcm("TR_1")]), info("ben", tracks=[track("TR_2")]))
    room = Room()
    told: list[tuple[str, bool]] = []
    room.on("participant_encryption_status_changed", lambda who, encrypted: told.append((who.identity, encrypted)))
    await room.connect("ws://server", "token")
    visit = room._visit
    assert visit is not None
    visit.start()
    assert told == [("ann", True)]
    assert room.remote_participants["ann"].is_encrypted
    assert not room.remote_participants["ben"].is_encrypted
    visit.members.update([info("ann", tracks=[gcm("TR_1"), track("TR_3")], version=2)])
    visit.members.update([info("ann", tracks=[gcm("TR_1")], version=3)])
    visit.members.update([info("ann", version=4)])
    assert told == [("ann", True), ("ann", False), ("ann", True), ("ann", False)]
    await room.disconnect()


async def test_states_of_tracks_are_told_with_their_participant(connector: Connector) -> None:
    connector.others = (info("ann"),)
    room = Room()
    told: list[tuple[str, EncryptionState]] = []
    room.on("e2ee_state_changed", lambda who, state: told.append((who.identity, state)))
    await room.connect("ws://server", "token")
    manager = room.e2ee_manager
    manager._tell("ann", EncryptionState.DECRYPTION_FAILED)
    manager._tell("nobody", EncryptionState.OK)
    manager._tell(room.local_participant.identity, EncryptionState.OK)
    assert told == [
        ("ann", EncryptionState.DECRYPTION_FAILED),
        (room.local_participant.identity, EncryptionState.OK),
    ]
    await room.disconnect()
    manager._tell("ann", EncryptionState.OK)
    assert len(told) == 2


async def test_encrypted_audio_is_announced_without_redundancy(microphone: Any) -> None:
    options = TrackPublishOptions(red=True)
    plain = Announcement.of(microphone, options, "cid").request
    sealed = Announcement.of(microphone, options, "cid", EncryptionType.GCM).request
    assert (plain.encryption, plain.disable_red) == (models.Encryption.NONE, False)
    assert (sealed.encryption, sealed.disable_red) == (models.Encryption.GCM, True)
