"""Trying keys: the one part that frames, packets and data tracks have in common when they are decrypted."""

# ruff: noqa: SLF001 - keys and those who use them belong together

from __future__ import annotations

import time
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .derivation import DerivedKey
    from .keys import KeyProvider, Ring

__all__ = ["Opened", "open_sealed"]

Data = bytes | bytearray | memoryview
_monotonic = time.monotonic


class Opened(Enum):
    """What became of something encrypted that could not be decrypted."""

    MISSING_KEY = auto()
    """There is no key under its index."""
    WRONG_KEY = auto()
    """None of the keys that may be the sender's fits; or it was tampered with."""
    UNKNOWN = auto()
    """None that is known fits; steps of the ratchet are still to be derived."""
    GIVEN_UP = auto()
    """The key has failed too often, and is not tried any more."""


def open_sealed(
    keys: KeyProvider, ring: Ring | None, index: int, iv: Data, sealed: Data, header: Data | None
) -> tuple[bytes, bool] | Opened:
    """Decrypt something.

    Args:
        keys: Whose ring it is.
        ring: The sender's keys.
        index: Under which index its key is.
        iv: The nonce.
        sealed: Ciphertext and tag.
        header: What is authenticated with it.

    Returns:
        The plaintext and whether the sender's key was found to be ratcheted; or why it could not be decrypted.
    """
    key = None if ring is None else ring.get(index)
    if ring is None or key is None or (cipher := key.cipher) is None:
        return Opened.MISSING_KEY
    if ring.is_wrong(index):
        return Opened.GIVEN_UP
    try:
        plain = cipher.decrypt(iv, sealed, header)
    except key.does_not_fit:
        return _try_others(keys, ring, key, index, iv, sealed, header)
    ring.succeeded(index, key, key, 0.0)
    if key.following is None:
        keys._prepare(key)
    return plain, False


def _try_others(
    keys: KeyProvider, ring: Ring, key: DerivedKey, index: int, iv: Data, sealed: Data, header: Data | None
) -> tuple[bytes, bool] | Opened:
    now = _monotonic()
    others, complete = ring.others(index, now)
    for other in others:
        if (cipher := other.cipher) is None:
            continue
        try:
            plain = cipher.decrypt(iv, sealed, header)
        except other.does_not_fit:
            continue
        ratcheted = ring.succeeded(index, key, other, now)
        if ratcheted:
            keys._prepare(other)
        return plain, ratcheted
    if complete:
        ring.failed(index, key)
        return Opened.WRONG_KEY
    return Opened.UNKNOWN
