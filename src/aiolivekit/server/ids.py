"""Server-side ids, in the form of LiveKit's: a prefix that says what it is, and twelve random characters."""

from __future__ import annotations

import secrets

__all__ = ["new_id"]

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def new_id(prefix: str) -> str:
    """Return a new id that begins with `prefix`."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(12))
