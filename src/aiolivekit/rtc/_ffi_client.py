"""The door to the Rust library that is not there; see `compat.ffi`."""

from __future__ import annotations

from ..compat.ffi import INVALID_HANDLE, FfiClient, FfiHandle, FfiQueue, get_ffi_lib

__all__ = ["INVALID_HANDLE", "FfiClient", "FfiHandle", "FfiQueue", "get_ffi_lib"]
