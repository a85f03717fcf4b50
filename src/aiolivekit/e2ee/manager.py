"""What of a room is encrypted end to end, and how that goes."""

# ruff: noqa: SLF001 - the parts of this package belong together

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..enums import EncryptionState, EncryptionType
from ..errors import EncryptionError
from ..peer.transforms import EncodedFrame, FrameChain, FrameLayer
from .frame_cryptor import FrameCryptor
from .keys import KeyProvider
from .options import E2EEOptions
from .packet_cryptor import PacketCryptor

__all__ = ["E2EEManager"]

_logger = logging.getLogger("aiolivekit.e2ee")

StateHook = Callable[[str, EncryptionState], None]


class E2EEManager:
    """The end-to-end encryption of a room (`Room.e2ee_manager`).

    Args:
        options: How the room is encrypted; `None` for not at all.
        data: Whether data is encrypted too, besides tracks.

    Raises:
        EncryptionError: If the options encrypt nothing, or the extra `e2ee` is not installed.
        ValueError: If they make no sense.
    """

    def __init__(self, options: E2EEOptions | None, *, data: bool = True) -> None:
        self.options = options
        self._enabled = options is not None
        self._provider: KeyProvider | None = None
        self._packets: PacketCryptor | None = None
        self._cryptors: dict[tuple[str, str], FrameCryptor] = {}
        self._local_identity = ""
        self._track_index = 0
        self._sif_trailer = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_state: StateHook | None = None
        if options is not None:
            if options.encryption_type == EncryptionType.NONE:
                raise EncryptionError("the encryption of a room is of some type; without options there is none")
            self._provider = options.key_provider or KeyProvider(options.key_provider_options)
            self._packets = PacketCryptor(
                self._provider,
                int(options.encryption_type),
                protects=data,
                accept_plaintext=options.accept_plaintext_data,
            )

    @property
    def key_provider(self) -> KeyProvider | None:
        """The keys; `None` in a room that is not encrypted."""
        return self._provider

    @property
    def enabled(self) -> bool:
        """Whether anything is encrypted."""
        return self._enabled

    @property
    def encryption_type(self) -> EncryptionType:
        """What the others are told of our tracks (not in `livekit.rtc`)."""
        return EncryptionType.NONE if self.options is None else EncryptionType.of(int(self.options.encryption_type))

    @property
    def packets_dropped(self) -> dict[str, int]:
        """Data of others that was not taken, by cause (not in `livekit.rtc`).

        `plaintext` was not encrypted, `missing key` and `wrong key` could not be decrypted.
        """
        return {} if self._packets is None else dict(self._packets.dropped)

    def set_enabled(self, enabled: bool) -> None:
        """Encrypt and decrypt, or let everything pass as it is. The others are not told.

        Raises:
            EncryptionError: If the room was connected without encryption.
        """
        if self._packets is None:
            if enabled:
                raise EncryptionError("the room was connected without encryption")
            return
        self._enabled = self._packets.enabled = enabled
        for cryptor in self.frame_cryptors():
            cryptor.set_enabled(enabled)

    def set_key_index(self, key_index: int) -> None:
        """Encrypt by another key from now on: our tracks, those that are published later, and data.

        `FrameCryptor.set_key_index` does so for one track (this is not in `livekit.rtc`).

        Raises:
            EncryptionError: If the room was connected without encryption.
            ValueError: If a ring has no such index.
        """
        if self._provider is None:
            raise EncryptionError("the room was connected without encryption")
        size = self._provider.options.key_ring_size
        if not 0 <= key_index < size:
            raise ValueError(f"a key index is from 0 to {size - 1}, not {key_index}")
        self._provider._local_index = self._track_index = key_index
        for cryptor in self.frame_cryptors():
            if cryptor._outgoing:
                cryptor.set_key_index(key_index)

    def frame_cryptors(self) -> list[FrameCryptor]:
        """Return the encryption of each track that is sent or received now."""
        return list(self._cryptors.values())

    # -- for the room -------------------------------------------------------------------------------

    @property
    def _seals(self) -> bool:
        """Whether no media may pass in the clear unless they are said to be so."""
        return self.options is not None

    def _listen(self, on_state: StateHook) -> None:
        """Have states told on the running loop, with the identity of the participant."""
        self._loop = asyncio.get_running_loop()
        self._on_state = on_state

    def _joined(self, identity: str, sif_trailer: bytes) -> None:
        """Take what the server says at a join, the first and each after it."""
        self._local_identity = identity
        self._sif_trailer = sif_trailer
        if self._provider is not None and self._packets is not None:
            self._provider._local_identity = self._packets.local_identity = identity

    def _protect_sender(self, chain: FrameChain, track_sid: str, like: str | None = None) -> None:
        """Encrypt what passes a chain of ours.

        Args:
            chain: Of the sender; the second of a track is its backup codec's.
            track_sid: Of the publication.
            like: Under which sid the same publication was known to the session before.
        """
        if self._provider is None:
            return
        identity = self._local_identity
        cryptor = self._cryptors.get((identity, track_sid))
        if cryptor is None:
            before = None if like is None else self._cryptors.pop((identity, like), None)
            cryptor = self._new_cryptor(identity, track_sid, outgoing=True, before=before)
        chain.set_step(FrameLayer.CIPHER, cryptor._step_of(chain))

    def _protect_receiver(self, chain_of: Callable[[], FrameChain], identity: str, track_sid: str, kind: int) -> None:
        """Decrypt what passes the chain of a receiver.

        Args:
            chain_of: Makes the chain, if it is needed.
            identity: Who publishes the track.
            track_sid: Of the publication.
            kind: How the publisher says it is encrypted; what is not known here is encrypted too.
        """
        encrypted = kind != EncryptionType.NONE
        if self._provider is None:
            if encrypted:
                # Noise, to whoever has no key.
                chain_of().set_step(FrameLayer.CIPHER, _drop_frame)
                self._tell(identity, EncryptionState.MISSING_KEY)
        elif encrypted:
            chain = chain_of()
            cryptor = self._new_cryptor(identity, track_sid, outgoing=False)
            chain.set_step(FrameLayer.CIPHER, cryptor._step_of(chain))
        else:
            # Shown as what it is: by `TrackPublication.encryption_type`, and `participant_encryption_status_changed`.
            chain_of().set_step(FrameLayer.CIPHER, _pass_frame)

    def _new_cryptor(
        self, identity: str, track_sid: str, *, outgoing: bool, before: FrameCryptor | None = None
    ) -> FrameCryptor:
        assert self._provider is not None
        cryptor = self._cryptors[identity, track_sid] = FrameCryptor(
            self._provider,
            identity,
            track_sid,
            outgoing=outgoing,
            key_index=self._first_index(identity) if before is None else before.key_index,
            enabled=self._enabled if before is None else before.enabled,
            sif_trailer=self._sif_trailer,
            on_state=self._state_changed,
        )
        return cryptor

    def _first_index(self, identity: str) -> int:
        """Return by which key a track begins: if there is one under 0, by that one, as in the official SDK."""
        assert self._provider is not None
        ring = self._provider._ring(identity)
        if ring is None or ring.get(self._track_index) is not None:
            return self._track_index
        return self._provider._local_index or 0

    def _forget(self, identity: str, track_sid: str) -> None:
        """A track is sent or received no more."""
        self._cryptors.pop((identity, track_sid), None)

    def _state_changed(self, cryptor: FrameCryptor, state: EncryptionState) -> None:
        # On the media thread.
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._tell, cryptor.participant_identity, state)
        except RuntimeError:  # the loop is closed, and the room with it
            _logger.debug("the encryption of a track changed when the loop was closed")

    def _tell(self, identity: str, state: EncryptionState) -> None:
        if self._on_state is not None:
            self._on_state(identity, state)

    def _close(self) -> None:
        """Forget everything, and wipe the keys if they are ours."""
        self._on_state = None
        self._cryptors.clear()
        if self._packets is not None:
            self._packets.close()
        if self._provider is not None and (self.options is None or self.options.key_provider is None):
            self._provider.clear()

    def __repr__(self) -> str:
        return f"E2EEManager(enabled={self._enabled}, cryptors={len(self._cryptors)})"


def _pass_frame(_frame: EncodedFrame) -> bool:
    return True


def _drop_frame(_frame: EncodedFrame) -> bool:
    return False
