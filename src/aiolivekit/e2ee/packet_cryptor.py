"""Encrypting and decrypting data packets and the frames of data tracks, in line with sending and receiving them."""

# ruff: noqa: SLF001 - keys and those who use them belong together

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from livekit.protocol import models

from ..core.data_track_packet import FrameEncryption
from ..core.encrypted_frame import IV_SIZE, TAG_SIZE
from ..errors import MissingKeyError
from .frame_cryptor import Nonces
from .opening import Opened, open_sealed

if TYPE_CHECKING:
    from .keys import KeyProvider

__all__ = ["PacketCryptor"]

_logger = logging.getLogger("aiolivekit.e2ee")

_Packet = models.DataPacket
Deliver = Callable[[models.DataPacket, int], None]

_ENCRYPTED_KINDS = frozenset(field.name for field in models.EncryptedPacketPayload.DESCRIPTOR.fields)
"""The kinds of packets that are encrypted; the protocol has no place for others (DTMF, transcriptions, metrics)."""
_MAX_HELD = 256
"""Packets of one sender that wait until it is known whether it has ratcheted its key."""

_CAUSES = {
    Opened.MISSING_KEY: "missing key",
    Opened.WRONG_KEY: "wrong key",
    Opened.UNKNOWN: "wrong key",
    Opened.GIVEN_UP: "key given up",
}


class PacketCryptor:
    """The encryption of a room's data.

    Args:
        keys: The keys.
        encryption_type: What the others are told of ours.
        protects: Whether ours are encrypted, and others' only taken if they are.
        accept_plaintext: Whether those of others are taken in any case.
    """

    def __init__(self, keys: KeyProvider, encryption_type: int, *, protects: bool, accept_plaintext: bool) -> None:
        self._keys = keys
        self._encryption_type = encryption_type
        self._protects = protects
        self._accept_plaintext = accept_plaintext or not protects
        self._nonces = Nonces()
        self._held: dict[str, deque[tuple[models.DataPacket, Deliver]]] = {}
        self._told: set[tuple[str, str]] = set()
        self.enabled = True
        self.local_identity = ""
        self.dropped: Counter[str] = Counter()
        """Packets and frames of others that were not taken, by cause."""

    # -- out ----------------------------------------------------------------------------------------

    @property
    def protects(self) -> bool:
        """Whether what we send is encrypted."""
        return self._protects and self.enabled

    def seal(self, packet: models.DataPacket) -> models.DataPacket:
        """Return a packet encrypted, or as it is if it is of a kind that nobody encrypts.

        Raises:
            MissingKeyError: If we have no key to encrypt it by.
        """
        if not self.protects:
            return packet
        kind = packet.WhichOneof("value")
        if kind not in _ENCRYPTED_KINDS:
            return packet
        payload = models.EncryptedPacketPayload()
        getattr(payload, kind).CopyFrom(getattr(packet, kind))
        index, nonce, sealed = self.seal_bytes(payload.SerializeToString())
        return _Packet(
            kind=packet.kind,
            participant_identity=packet.participant_identity,
            participant_sid=packet.participant_sid,
            destination_identities=packet.destination_identities,
            encrypted_packet=models.EncryptedPacket(
                encryption_type=self._encryption_type,  # type: ignore[arg-type]
                iv=nonce,
                key_index=index,
                encrypted_value=sealed,
            ),
        )

    def seal_bytes(self, data: bytes) -> tuple[int, bytes, bytes]:
        """Return the index of our key, a nonce, and the bytes encrypted.

        Raises:
            MissingKeyError: If we have no key to encrypt them by.
        """
        keys = self._keys
        index = keys._local_index or 0
        ring = keys._ring(self.local_identity)
        key = None if ring is None else ring.get(index)
        if key is None or (cipher := key.cipher) is None:
            raise MissingKeyError(f"there is no key of ours under index {index} to encrypt data by")
        nonce = self._nonces.next()
        return index, nonce, cipher.encrypt(nonce, data, None)

    # -- in -----------------------------------------------------------------------------------------

    def open(self, packet: models.DataPacket, deliver: Deliver) -> None:
        """Have a packet delivered, decrypted if it was encrypted, with how it was; or drop and count it.

        It comes later if the sender's key has to be found first, but in its order among the sender's packets.
        """
        held = self._held.get(packet.participant_identity) if self._held else None
        if held is not None:
            if len(held) < _MAX_HELD:
                held.append((packet, deliver))
            else:
                self._drop("too many waiting", packet.participant_identity)
            return
        self._open(packet, deliver, search=True)

    def _open(self, packet: models.DataPacket, deliver: Deliver, *, search: bool) -> None:
        kind = packet.WhichOneof("value")
        if kind != "encrypted_packet":
            if kind in _ENCRYPTED_KINDS and not self.accepts_plaintext:
                self._drop("plaintext", packet.participant_identity)
            else:
                deliver(packet, models.Encryption.NONE)
            return
        sealed = packet.encrypted_packet
        identity, index = packet.participant_identity, sealed.key_index
        opened = self.open_bytes(identity, index, sealed.iv, sealed.encrypted_value)
        if isinstance(opened, Opened):
            if opened is Opened.UNKNOWN and search:
                self._hold(identity, index, packet, deliver)
            else:
                self._drop(_CAUSES[opened], identity)
            return
        try:
            payload = models.EncryptedPacketPayload.FromString(opened)
        except DecodeError:
            self._drop("malformed", identity)
            return
        inner = payload.WhichOneof("value")
        if inner is None:
            self._drop("malformed", identity)
            return
        getattr(packet, inner).CopyFrom(getattr(payload, inner))
        # livekit-client does not say by what it encrypts; what was decrypted was encrypted.
        deliver(packet, models.Encryption.GCM)

    def open_bytes(self, identity: str, index: int, nonce: bytes, sealed: bytes) -> bytes | Opened:
        """Return what a participant encrypted, or why it cannot be decrypted."""
        if len(nonce) != IV_SIZE or len(sealed) < TAG_SIZE:
            return Opened.WRONG_KEY
        opened = open_sealed(self._keys, self._keys._ring(identity), index, nonce, sealed, None)
        return opened if isinstance(opened, Opened) else opened[0]

    # -- data tracks (a `FrameCipher`) --------------------------------------------------------------

    @property
    def frame_encryption_type(self) -> int:
        """See `FrameCipher`."""
        return self._encryption_type if self.protects else models.Encryption.NONE

    @property
    def accepts_plaintext(self) -> bool:
        """See `FrameCipher`."""
        return self._accept_plaintext or not self.enabled

    def seal_frame(self, payload: bytes) -> tuple[FrameEncryption, bytes]:
        """See `FrameCipher`."""
        index, nonce, sealed = self.seal_bytes(payload)
        return FrameEncryption(index, nonce), sealed

    def open_frame(self, identity: str, encryption: FrameEncryption, sealed: bytes) -> bytes | None:
        """See `FrameCipher`."""
        opened = self.open_bytes(identity, encryption.key_index, encryption.iv, sealed)
        if isinstance(opened, Opened):
            if opened is Opened.UNKNOWN:
                self._keys._search(identity, encryption.key_index)
            self._drop(_CAUSES[opened], identity)
            return None
        return opened

    # -- what packets and frames have in common -----------------------------------------------------

    def _hold(self, identity: str, index: int, packet: models.DataPacket, deliver: Deliver) -> None:
        self._held[identity] = deque([(packet, deliver)])
        loop = asyncio.get_running_loop()

        def found() -> None:
            try:
                loop.call_soon_threadsafe(self._release, identity)
            except RuntimeError:  # the loop is closed, and the room with it
                _logger.debug("packets waited for a key when the loop was closed")

        self._keys._search(identity, index, found)

    def _release(self, identity: str) -> None:
        held = self._held.pop(identity, None)
        while held:
            packet, deliver = held.popleft()
            # Not searched for again: all that follow the key are known now.
            self._open(packet, deliver, search=False)

    def _drop(self, cause: str, identity: str) -> None:
        self.dropped[cause] += 1
        if (cause, identity) not in self._told and len(self._told) < _MAX_HELD:
            self._told.add((cause, identity))
            _logger.warning("data of a participant is dropped, and more that is like it will be: %s", cause)

    def close(self) -> None:
        """Deliver nothing any more."""
        self._held.clear()

    def __repr__(self) -> str:
        return f"PacketCryptor(protects={self._protects}, enabled={self.enabled})"
