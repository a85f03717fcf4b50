"""Encrypting and decrypting the frames of one track, on the media thread."""

# ruff: noqa: SLF001 - keys and those who use them belong together

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core import encrypted_frame as layout
from ..core.encrypted_frame import AUDIO_HEADER, IV_SIZE, MIN_SEALED, TRAILER_SIZE
from ..enums import EncryptionState
from .opening import Opened, open_sealed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from ..peer.transforms import EncodedFrame, FrameChain
    from .keys import KeyProvider

__all__ = ["FrameCryptor", "Nonces"]

_State = EncryptionState
_TAIL = IV_SIZE + TRAILER_SIZE
_KEY_FRAME_INTERVAL = 0.3
_monotonic = time.monotonic

_FAILURES = {
    Opened.MISSING_KEY: (_State.MISSING_KEY, "missing key"),
    Opened.WRONG_KEY: (_State.DECRYPTION_FAILED, "wrong key"),
    Opened.UNKNOWN: (_State.DECRYPTION_FAILED, "wrong key"),
    Opened.GIVEN_UP: (_State.DECRYPTION_FAILED, "key given up"),
}

Sealed = bytes | bytearray | memoryview
StateHook = Callable[["FrameCryptor", EncryptionState], None]


class Nonces:
    """Nonces no two of which are the same: 64 random bits for each user of a key, and a number.

    None of them has two zero bytes in a row, or begins with one: such bytes are escaped in H.264, and the official SDK
    (1.2.1) reads the nonce of a frame before it undoes that.
    """

    __slots__ = ("_count", "_mask", "_prefix")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        while True:
            random = os.urandom(12)
            if 0 not in random:
                break
        self._prefix, self._mask, self._count = random[:8], int.from_bytes(random[8:], "big"), 0

    def next(self) -> bytes:
        """Return another one (12 bytes)."""
        while True:
            if self._count > 0xFFFFFFFF:
                self._renew()
            nonce = self._prefix + (self._count ^ self._mask).to_bytes(4, "big")
            self._count += 1
            if b"\0\0" not in nonce:
                return nonce


class FrameCryptor:
    """The encryption of one track, ours or another participant's.

    What it did last is its `state`; what it dropped is counted. Both a track's first and its backup codec pass here.
    """

    def __init__(
        self,
        keys: KeyProvider,
        participant_identity: str,
        track_sid: str,
        *,
        outgoing: bool,
        key_index: int,
        enabled: bool,
        sif_trailer: bytes,
        on_state: StateHook,
    ) -> None:
        self._keys = keys
        self._participant_identity = participant_identity
        self._track_sid = track_sid
        self._outgoing = outgoing
        # Set as a whole, so that the media thread sees both or neither.
        self._sending = (key_index, bytes((IV_SIZE, key_index)))
        self._enabled = enabled
        self._sif_trailer = sif_trailer
        self._on_state = on_state
        self._state = _State.NEW
        self._nonces = Nonces()
        self._broken: set[FrameChain] = set()
        self._asked_at = 0.0
        self.frames = 0
        """Frames that were encrypted or decrypted (not in `livekit.rtc`)."""
        self.dropped: Counter[str] = Counter()
        """Frames that were not, by cause (not in `livekit.rtc`)."""

    @property
    def participant_identity(self) -> str:
        """Whose track it is."""
        return self._participant_identity

    @property
    def track_sid(self) -> str:
        """Of the track."""
        return self._track_sid

    @property
    def key_index(self) -> int:
        """Under which index the key is by which frames are encrypted; received ones say so themselves."""
        return self._sending[0]

    @property
    def enabled(self) -> bool:
        """Whether frames are encrypted or decrypted; without, they pass as they are."""
        return self._enabled

    @property
    def state(self) -> EncryptionState:
        """What it did last (not in `livekit.rtc`)."""
        return self._state

    def set_enabled(self, enabled: bool) -> None:
        """Encrypt or decrypt frames, or let them pass as they are. The others are not told."""
        self._enabled = enabled

    def set_key_index(self, key_index: int) -> None:
        """Encrypt by another key from the next frame on.

        Raises:
            ValueError: If a ring has no such index.
        """
        self._keys._check(key_index)
        self._sending = (key_index, bytes((IV_SIZE, key_index)))

    def _set_state(self, state: EncryptionState) -> None:
        if state is not self._state:
            self._state = state
            self._on_state(self, state)

    # -- on the media thread ------------------------------------------------------------------------

    def _step_of(self, chain: FrameChain) -> Callable[[EncodedFrame], bool]:
        """Return the step of the layer `CIPHER` of a chain."""
        if self._outgoing:
            return self._encrypt_sound if chain.kind == "audio" else self._encrypt_picture
        decrypt = self._decrypt_sound if chain.kind == "audio" else self._decrypt_picture
        return lambda frame: decrypt(frame, chain)

    def _cipher(self, index: int) -> AESGCM | None:
        """Return what our frames are encrypted by, or `None` if there is no key."""
        ring = self._keys._ring(self._participant_identity)
        key = None if ring is None else ring.get(index)
        return None if key is None else key.cipher

    def _encrypt_sound(self, frame: EncodedFrame) -> bool:
        data = frame.data
        if not data or not self._enabled:
            return True
        index, tail = self._sending
        cipher = self._cipher(index)
        if cipher is None:
            return self._drop(_State.MISSING_KEY, "missing key")
        header, nonce = data[:AUDIO_HEADER], self._nonces.next()
        frame.data = b"".join((header, cipher.encrypt(nonce, data[AUDIO_HEADER:], header), nonce, tail))
        return self._done()

    def _encrypt_picture(self, frame: EncodedFrame) -> bool:
        data = frame.data
        if not data or not self._enabled:
            return True
        index, tail = self._sending
        cipher = self._cipher(index)
        if cipher is None:
            return self._drop(_State.MISSING_KEY, "missing key")
        codec, nonce = frame.codec, self._nonces.next()
        if codec == "av1":
            header, size = layout.av1_header(len(data) + MIN_SEALED, frame.key_frame), 0
        else:
            size = layout.header_size(codec, frame.key_frame, data)
            header = bytes(data[:size])
            if size > len(data):
                return self._drop(_State.ENCRYPTION_FAILED, "too short")
        sealed = b"".join((cipher.encrypt(nonce, memoryview(data)[size:], header), nonce, tail))
        frame.data = header + (layout.escape(sealed) if codec == "h264" else sealed)
        return self._done()

    def _decrypt_sound(self, frame: EncodedFrame, chain: FrameChain) -> bool:
        data = frame.data
        if not data or not self._enabled:
            return True
        if self._sif_trailer and data.endswith(self._sif_trailer):
            return self._pass_injected(frame)
        plain = self._open(data[AUDIO_HEADER:], data[:AUDIO_HEADER], chain)
        if plain is None:
            return False
        frame.data = data[:AUDIO_HEADER] + plain
        return self._done()

    def _decrypt_picture(self, frame: EncodedFrame, chain: FrameChain) -> bool:
        data = frame.data
        if not data or not self._enabled:
            return True
        if self._sif_trailer and data.endswith(self._sif_trailer):
            return self._pass_injected(frame)
        codec = frame.codec
        size = layout.av1_header_size(data) if codec == "av1" else layout.header_size(codec, frame.key_frame, data)
        if size is None:
            self._lose(chain, _State.DECRYPTION_FAILED, "malformed")
            return False
        header = bytes(data[:size])
        sealed = memoryview(layout.unescape(bytes(data[size:]))) if codec == "h264" else memoryview(data)[size:]
        plain = self._open(sealed, header, chain)
        if plain is None:
            return False
        frame.data = plain if codec == "av1" else header + plain
        if self._broken and chain in self._broken:
            self._mend(frame, chain)
        return self._done()

    def _open(self, sealed: Sealed, header: bytes | bytearray, chain: FrameChain) -> bytes | None:
        """Return what follows a frame's header decrypted, or `None`, and count it."""
        if len(sealed) < MIN_SEALED or sealed[-2] != IV_SIZE:
            self._lose(chain, _State.DECRYPTION_FAILED, "malformed")
            return None
        index = sealed[-1]
        ring = self._keys._ring(self._participant_identity)
        opened = open_sealed(self._keys, ring, index, sealed[-_TAIL:-TRAILER_SIZE], sealed[:-_TAIL], header)
        if isinstance(opened, Opened):
            state, cause = _FAILURES[opened]
            if opened is Opened.UNKNOWN:
                self._keys._search(self._participant_identity, index)
            self._lose(chain, state, cause)
            return None
        plain, ratcheted = opened
        if ratcheted:
            self._set_state(_State.KEY_RATCHETED)
        return plain

    def _pass_injected(self, frame: EncodedFrame) -> bool:
        payload = layout.injected_payload(frame.data, self._sif_trailer)
        if payload is None:
            self.dropped["injected"] += 1
            return False
        frame.data = payload
        return True

    def _done(self) -> bool:
        self.frames += 1
        if self._state is not _State.OK:
            self._set_state(_State.OK)
        return True

    def _drop(self, state: EncryptionState, cause: str) -> bool:
        self.dropped[cause] += 1
        self._set_state(state)
        return False

    def _lose(self, chain: FrameChain, state: EncryptionState, cause: str) -> None:
        if chain.kind == "video":
            self._broken.add(chain)
        self._drop(state, cause)

    def _mend(self, frame: EncodedFrame, chain: FrameChain) -> None:
        """Have what was lost made good: a decoder would wait some seconds for it before it asked by itself."""
        if frame.key_frame:
            self._broken.discard(chain)
        elif (now := _monotonic()) >= self._asked_at + _KEY_FRAME_INTERVAL:
            self._asked_at = now
            chain.request_key_frame()

    def __repr__(self) -> str:
        return (
            f"FrameCryptor(participant_identity={self._participant_identity!r}, track_sid={self._track_sid!r}, "
            f"key_index={self.key_index}, enabled={self._enabled}, state={self._state.name})"
        )
