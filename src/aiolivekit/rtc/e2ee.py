"""End-to-end encryption."""

from __future__ import annotations

from typing import Any

from ..compat.internals import internal
from ..e2ee.frame_cryptor import FrameCryptor
from ..e2ee.keys import KeyProvider
from ..e2ee.manager import E2EEManager
from ..e2ee.options import (
    DEFAULT_FAILURE_TOLERANCE,
    DEFAULT_KEY_RING_SIZE,
    DEFAULT_RATCHET_SALT,
    DEFAULT_RATCHET_WINDOW_SIZE,
    E2EEOptions,
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


def __getattr__(name: str) -> Any:
    return internal(__name__, name)
