"""Encrypting and decrypting the frames of one track, on the media thread."""

# ruff: noqa: SLF001 - keys and those who use them belong together

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core import encrypted_frame as layout
from ..core.encrypted_frame import IV_SIZE, MIN_SEALED, TRAILER_SIZE
from ..enums import EncryptionState
from .opening import Opened, open_sealed

if TYPE_CHECKING:
    from ..peer.transforms import EncodedFrame, FrameChain
    from .keys import KeyProvider

__all__ = ["FrameCryptor", "Nonces"]

_State = EncryptionState
_TAIL = IV_SIZE + TRAILER_SIZE
_IV_LENGTH = bytes((IV_SIZE,))
_KEY_FRAME_INTERVAL = 0.3
_monotonic = time.monotonic

_FAILURES = {
    Opened.MISSING_KEY: (_State.MISSING_KEY, "missing key"),
    Opened.WRONG_KEY: (_State.DECRYPTION_FAILED, "wrong key"),
    Opened.UNKNOWN: (_State.DECRYPTION_FAILED, "wrong key"),
    Opened.GIVEN_UP: (_State.DECRYPTION_FAILED, "key given up"),
}

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
        self._key_index = key_index
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
        return self._key_index

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
        if not 0 <= key_index < self._keys.options.key_ring_size:
            raise ValueError(f"a key index is from 0 to {self._keys.options.key_ring_size - 1}, not {key_index}")
        self._key_index = key_index

    def _set_state(self, state: EncryptionState) -> None:
        if state is not self._state:
            self._state = state
            self._on_state(self, state)

    # -- on the media thread ------------------------------------------------------------------------

    def _step_of(self, chain: FrameChain) -> Callable[[EncodedFrame], bool]:
        """Return the step of the layer `CIPHER` of a chain."""
        if self._outgoing:
            return self._encrypt
        return lambda frame: self._decrypt(frame, chain)

    def _encrypt(self, frame: EncodedFrame) -> bool:
        data = frame.data
        if not data or not self._enabled:
            return True
        index = self._key_index
        ring = self._keys._ring(self._participant_identity)
        key = None if ring is None else ring.get(index)
        if key is None or (cipher := key.cipher) is None:
            return self._drop(_State.MISSING_KEY, "missing key")
        nonce = self._nonces.next()
        if frame.kind == "audio":
            codec, size = "", 1
        elif (codec := frame.codec) == "av1":
            header = layout.av1_header(len(data) + MIN_SEALED, frame.key_frame)
            sealed = cipher.encrypt(nonce, data, header)
            frame.data = b"".join((header, sealed, nonce, _IV_LENGTH, bytes((index,))))
            return self._done()
        else:
            size = layout.header_size("video", codec, frame.key_frame, data)
            if size > len(data):
                return self._drop(_State.ENCRYPTION_FAILED, "too short")
        header = bytes(data[:size])
        body = b"".join((cipher.encrypt(nonce, memoryview(data)[size:], header), nonce, _IV_LENGTH, bytes((index,))))
        frame.data = header + (layout.escape(body) if codec == "h264" else body)
        return self._done()

    def _decrypt(self, frame: EncodedFrame, chain: FrameChain) -> bool:
        data = frame.data
        if not data or not self._enabled:
            return True
        trailer = self._sif_trailer
        if trailer and data.endswith(trailer):
            return self._pass_injected(frame, trailer)
        size: int | None = 1
        codec = ""
        if frame.kind != "audio":
            codec = frame.codec
            if codec == "av1":
                size = layout.av1_header_size(data)
            else:
                size = layout.header_size("video", codec, frame.key_frame, data)
        if size is None or len(data) < size + MIN_SEALED:
            return self._lose(chain, _State.DECRYPTION_FAILED, "malformed")
        header = bytes(data[:size])
        body = memoryview(layout.unescape(bytes(data[size:])) if codec == "h264" else data)[
            0 if codec == "h264" else size :
        ]
        if len(body) < MIN_SEALED or body[-2] != IV_SIZE:
            return self._lose(chain, _State.DECRYPTION_FAILED, "malformed")
        keys, index = self._keys, body[-1]
        ring = keys._ring(self._participant_identity)
        opened = open_sealed(keys, ring, index, body[-_TAIL:-TRAILER_SIZE], body[:-_TAIL], header)
        if isinstance(opened, Opened):
            return self._fail(chain, opened, index)
        plain, ratcheted = opened
        frame.data = plain if codec == "av1" else header + plain
        if ratcheted:
            self._set_state(_State.KEY_RATCHETED)
        if self._broken and chain in self._broken:
            self._mend(frame, chain)
        return self._done()

    def _pass_injected(self, frame: EncodedFrame, trailer: bytes) -> bool:
        payload = layout.injected_payload(frame.data, trailer)
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

    def _lose(self, chain: FrameChain, state: EncryptionState, cause: str) -> bool:
        if chain.kind == "video":
            self._broken.add(chain)
        return self._drop(state, cause)

    def _fail(self, chain: FrameChain, opened: Opened, index: int) -> bool:
        state, cause = _FAILURES[opened]
        if opened is Opened.UNKNOWN:
            self._keys._search(self._participant_identity, index)
        return self._lose(chain, state, cause)

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
            f"key_index={self._key_index}, enabled={self._enabled}, state={self._state.name})"
        )
