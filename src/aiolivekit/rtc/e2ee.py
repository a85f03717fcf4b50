"""End-to-end encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..compat.internals import internal

if TYPE_CHECKING:
    from ..e2ee import (  # type: ignore[import-not-found, unused-ignore]
        E2EEManager,
        E2EEOptions,
        FrameCryptor,
        KeyProvider,
        KeyProviderOptions,
    )

__all__ = [
    "DEFAULT_FAILURE_TOLERANCE",
    "DEFAULT_KEY_RING_SIZE",
    "DEFAULT_RATCHET_SALT",
    "DEFAULT_RATCHET_WINDOW_SIZE",
    "E2EEManager",
    "E2EEOptions",
    "FrameCryptor",
    "KeyProvider",
    "KeyProviderOptions",
]

DEFAULT_RATCHET_SALT = b"LKFrameEncryptionKey"
DEFAULT_RATCHET_WINDOW_SIZE = 16
DEFAULT_FAILURE_TOLERANCE = -1
DEFAULT_KEY_RING_SIZE = 16


def __getattr__(name: str) -> Any:
    if name not in __all__:
        return internal(__name__, name)
    from .. import e2ee

    return getattr(e2ee, name)
