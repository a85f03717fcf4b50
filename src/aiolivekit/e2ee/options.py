"""The options of end-to-end encryption, with the names and defaults of `livekit.rtc`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..enums import EncryptionType, KeyDerivationFunction

if TYPE_CHECKING:
    from .keys import KeyProvider

__all__ = [
    "DEFAULT_FAILURE_TOLERANCE",
    "DEFAULT_KEY_RING_SIZE",
    "DEFAULT_RATCHET_SALT",
    "DEFAULT_RATCHET_WINDOW_SIZE",
    "E2EEOptions",
    "KeyProviderOptions",
]

DEFAULT_RATCHET_SALT = b"LKFrameEncryptionKey"
DEFAULT_RATCHET_WINDOW_SIZE = 16
DEFAULT_FAILURE_TOLERANCE = -1
DEFAULT_KEY_RING_SIZE = 16


@dataclass
class KeyProviderOptions:
    """How keys are kept. All participants of a room must have the same salt and derivation.

    Args:
        shared_key: The key of all participants, under index 0; `None` for a key of each participant's own.
        ratchet_salt: The salt of derivation and ratchet.
        ratchet_window_size: How many ratchet steps another participant may be ahead of us; 0 follows nobody.
        failure_tolerance: How often in a row a key may fail before it counts as wrong and is not tried any more, until
            it is set anew; negative for as often as it likes.
        key_ring_size: How many keys a participant can have, 1 to 256.
        key_derivation_function: PBKDF2 for pass phrases, HKDF for keys that are random already.
    """

    shared_key: bytes | None = field(default=None, repr=False)
    ratchet_salt: bytes = DEFAULT_RATCHET_SALT
    ratchet_window_size: int = DEFAULT_RATCHET_WINDOW_SIZE
    failure_tolerance: int = DEFAULT_FAILURE_TOLERANCE
    key_ring_size: int = DEFAULT_KEY_RING_SIZE
    key_derivation_function: KeyDerivationFunction | int = KeyDerivationFunction.PBKDF2


@dataclass
class E2EEOptions:
    """That and how a room is encrypted end to end (`RoomOptions.encryption`).

    Args:
        key_provider_options: How keys are kept.
        encryption_type: What the others are told; frames and packets are encrypted by AES-GCM in any case.
        key_provider: The keys, made before; they outlive the room then. Without one the room makes its own, and wipes
            them when it is disconnected (not in `livekit.rtc`).
        accept_plaintext_data: Whether data of others that they did not encrypt is taken all the same (not in
            `livekit.rtc`).
    """

    key_provider_options: KeyProviderOptions = field(default_factory=KeyProviderOptions)
    encryption_type: EncryptionType | int = EncryptionType.GCM
    key_provider: KeyProvider | None = field(default=None, repr=False)
    accept_plaintext_data: bool = False
