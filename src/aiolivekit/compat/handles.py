"""The handles that the official SDK's objects have in its Rust library (`_ffi_handle`).

Why it is here: tests and debugging code print or release them. Nothing native is behind these.
"""

from __future__ import annotations

from typing import TypeVar

from .ffi import INVALID_HANDLE, FfiHandle

__all__ = ["with_handle"]

C = TypeVar("C", bound=type)


class _Handle:
    """Gives each object the handle of nothing."""

    def __get__(self, instance: object, owner: type) -> FfiHandle:
        return FfiHandle(INVALID_HANDLE)


def with_handle(cls: C) -> C:
    """Give the instances of a class a `_ffi_handle`, and return the class."""
    cls._ffi_handle = _Handle()  # type: ignore[attr-defined]
    return cls
