"""Data packets and frames of data tracks: encrypted, refused in the clear, held while a key is looked for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import models

from aiolivekit.core.data_track_packet import FrameEncryption
from aiolivekit.e2ee.derivation import DerivedKey
from aiolivekit.e2ee.keys import KeyProvider
from aiolivekit.e2ee.options import KeyProviderOptions
from aiolivekit.e2ee.packet_cryptor import _MAX_HELD, PacketCryptor
from aiolivekit.errors import MissingKeyError

from .frames import provider

GCM = models.Encryption.GCM


def cryptor(keys: KeyProvider, identity: str = "alice", **options: bool) -> PacketCryptor:
    made = PacketCryptor(keys, GCM, **{"protects": True, "accept_plaintext": False, **options})
    made.local_identity = identity
    return made


def user(payload: bytes, identity: str = "alice") -> models.DataPacket:
    return models.DataPacket(
        participant_identity=identity, participant_sid="PA_1", user=models.UserPacket(payload=payload, topic="t")
    )


class Taken:
    """What was delivered."""

    def __init__(self) -> None:
        self.packets: list[tuple[models.DataPacket, int]] = []

    def __call__(self, packet: models.DataPacket, encryption_type: int) -> None:
        self.packets.append((packet, encryption_type))

    @property
    def payloads(self) -> list[bytes]:
        return [packet.user.payload for packet, _ in self.packets]


PACKETS: dict[str, Any] = {
    "user": models.UserPacket(payload=b"secret", topic="secret topic"),
    "chat_message": models.ChatMessage(message="secret"),
    "rpc_request": models.RpcRequest(method="secret", payload="secret"),
    "rpc_ack": models.RpcAck(request_id="secret"),
    "rpc_response": models.RpcResponse(request_id="secret", payload="secret"),
    "stream_header": models.DataStream.Header(stream_id="secret", attributes={"a": "secret"}),
    "stream_chunk": models.DataStream.Chunk(stream_id="secret", content=b"secret"),
    "stream_trailer": models.DataStream.Trailer(stream_id="secret"),
}


@pytest.mark.parametrize("kind", PACKETS)
def test_there_and_back(kind: str) -> None:
    packet = models.DataPacket(
        participant_identity="alice", participant_sid="PA_1", destination_identities=["bob"], **{kind: PACKETS[kind]}
    )
    before = packet.SerializeToString()
    sealed = cryptor(provider()).seal(packet)
    assert packet.SerializeToString() == before
    assert b"secret" not in sealed.SerializeToString()
    assert (sealed.participant_identity, list(sealed.destination_identities)) == ("alice", ["bob"])
    assert sealed.encrypted_packet.encryption_type == GCM
    taken = Taken()
    cryptor(provider(), "bob").open(models.DataPacket.FromString(sealed.SerializeToString()), taken)
    ((opened, encryption_type),) = taken.packets
    assert encryption_type == GCM
    assert getattr(opened, kind) == PACKETS[kind]
    assert opened.WhichOneof("value") == kind


def test_kinds_nobody_encrypts_pass_both_ways() -> None:
    dtmf = models.DataPacket(sip_dtmf=models.SipDTMF(code=1))
    both, taken = cryptor(provider()), Taken()
    assert both.seal(dtmf) is dtmf
    both.open(dtmf, taken)
    assert taken.packets == [(dtmf, models.Encryption.NONE)]


def test_plaintext_is_refused_and_counted_unless_it_is_accepted() -> None:
    taken = Taken()
    strict = cryptor(provider())
    strict.open(user(b"in the clear"), taken)
    assert taken.packets == []
    assert strict.dropped == {"plaintext": 1}
    cryptor(provider(), accept_plaintext=True).open(user(b"accepted"), taken)
    media_only = cryptor(provider(), protects=False)
    media_only.open(user(b"of an older room"), taken)
    strict.enabled = False
    strict.open(user(b"switched off"), taken)
    assert taken.payloads == [b"accepted", b"of an older room", b"switched off"]
    packet = user(b"not encrypted")
    assert media_only.seal(packet) is packet
    assert strict.seal(packet) is packet
    assert strict.frame_encryption_type == media_only.frame_encryption_type == 0


def test_nothing_is_sent_without_a_key() -> None:
    keys = provider(None)
    ours = cryptor(keys)
    with pytest.raises(MissingKeyError):
        ours.seal(user(b"secret"))
    keys._local_identity = "alice"
    keys.set_key("bob", b"not ours", 4)
    with pytest.raises(MissingKeyError):
        ours.seal(user(b"secret"))
    keys.set_key("alice", b"ours", 3)
    assert ours.seal(user(b"secret")).encrypted_packet.key_index == 3


def test_what_cannot_be_decrypted_is_dropped_by_cause(caplog: pytest.LogCaptureFixture) -> None:
    theirs, taken = cryptor(provider(b"right"), "bob"), Taken()
    for _ in range(2):
        theirs.open(cryptor(provider(b"wrong")).seal(user(b"secret")), taken)
    sealed = cryptor(provider(b"right")).seal(user(b"secret"))
    other_index = models.DataPacket.FromString(sealed.SerializeToString())
    other_index.encrypted_packet.key_index = 4_000_000_000
    theirs.open(other_index, taken)
    assert theirs.dropped == {"wrong key": 2, "missing key": 1}
    assert sum("dropped" in record.message for record in caplog.records) == 2
    for content in (b"", b"\xff\xff", models.EncryptedPacketPayload().SerializeToString()):
        index, nonce, encrypted = cryptor(provider(b"right")).seal_bytes(content)
        packet = models.EncryptedPacket(iv=nonce, key_index=index, encrypted_value=encrypted)
        theirs.open(models.DataPacket(participant_identity="alice", encrypted_packet=packet), taken)
    assert theirs.dropped["malformed"] == 3
    assert taken.packets == []


def test_frames_of_data_tracks() -> None:
    ours, theirs = cryptor(provider()), cryptor(provider(), "bob")
    assert ours.frame_encryption_type == GCM
    encryption, sealed = ours.seal_frame(b"a frame" * 100)
    assert theirs.open_frame("alice", encryption, sealed) == b"a frame" * 100
    assert theirs.open_frame("alice", FrameEncryption(1, encryption.iv), sealed) is None
    assert theirs.open_frame("alice", encryption, sealed[:-1]) is None
    assert theirs.dropped == {"missing key": 1, "wrong key": 1}


class Gate:
    """Lets derivation take as long as a test needs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        derive = DerivedKey.derive_following

        def wait(key: DerivedKey) -> DerivedKey | None:
            assert self.open.wait(10)
            return derive(key)

        monkeypatch.setattr(DerivedKey, "derive_following", wait)


@pytest.fixture
def slow_keys(monkeypatch: pytest.MonkeyPatch) -> tuple[KeyProvider, KeyProvider, Gate]:
    """Ours, two steps ahead, and theirs, which have yet to find out."""
    ours, theirs = (KeyProvider(KeyProviderOptions(shared_key=b"pass", ratchet_window_size=3)) for _ in range(2))
    ours.ratchet_shared_key(0)
    ours.ratchet_shared_key(0)
    return ours, theirs, Gate(monkeypatch)


async def test_packets_wait_in_order_until_the_ratchet_is_found(
    slow_keys: tuple[KeyProvider, KeyProvider, Gate],
) -> None:
    ours, theirs, gate = slow_keys
    sending, receiving, taken = cryptor(ours), cryptor(theirs, "bob"), Taken()
    for number in range(5):
        receiving.open(sending.seal(user(b"%d" % number)), taken)
    receiving.open(cryptor(theirs, "carol").seal(user(b"of another", "carol")), taken)
    assert taken.payloads == [b"of another"]
    gate.open.set()
    async with asyncio.timeout(10):
        while len(taken.packets) < 6:
            await asyncio.sleep(0.01)
    assert taken.payloads[1:] == [b"0", b"1", b"2", b"3", b"4"]
    receiving.open(sending.seal(user(b"after")), taken)
    assert taken.payloads[-1] == b"after"
    assert receiving.dropped == {}
    theirs.clear()


async def test_no_more_waits_than_is_good_and_nothing_after_the_end(
    slow_keys: tuple[KeyProvider, KeyProvider, Gate],
) -> None:
    ours, theirs, gate = slow_keys
    sending, receiving, taken = cryptor(ours), cryptor(theirs, "bob"), Taken()
    for _ in range(_MAX_HELD + 3):
        receiving.open(sending.seal(user(b"x")), taken)
    assert receiving.dropped == {"too many waiting": 3}
    receiving.close()
    gate.open.set()
    theirs.clear()
    assert "aiolivekit-keys" not in {thread.name for thread in threading.enumerate()}
    await asyncio.sleep(0)
    assert taken.packets == []


OURS, THEIRS = cryptor(provider()), cryptor(provider(), "bob")


@settings(max_examples=200)
@given(st.binary(max_size=100), st.data())
def test_mangled_packets_are_dropped_and_counted(content: bytes, data: st.DataObject) -> None:
    packet = OURS.seal(user(content))
    whole = packet.encrypted_packet
    part = data.draw(st.sampled_from(["iv", "encrypted_value", "key_index"]))
    if part == "key_index":
        whole.key_index = data.draw(st.integers(1, 2**32 - 1))
    else:
        setattr(whole, part, data.draw(st.binary(max_size=60).filter(lambda each: each != getattr(whole, part))))
    before, taken = THEIRS.dropped.total(), Taken()
    THEIRS.open(packet, taken)
    assert taken.packets == []
    assert THEIRS.dropped.total() == before + 1


@given(st.binary(max_size=300))
def test_any_encrypted_content_is_followed_without_an_error(content: bytes) -> None:
    index, nonce, sealed = OURS.seal_bytes(content)
    packet = models.DataPacket(
        participant_identity="alice",
        encrypted_packet=models.EncryptedPacket(iv=nonce, key_index=index, encrypted_value=sealed),
    )
    THEIRS.open(packet, Taken())
