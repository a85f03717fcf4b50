"""The error that ends a call: what travels, and what callers and handlers raise."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from ..errors import LiveKitError

__all__ = ["MAX_DATA_BYTES", "MAX_MESSAGE_BYTES", "RpcError", "rpc_error", "truncate"]

MAX_MESSAGE_BYTES = 256
MAX_DATA_BYTES = 15_360
"""Bytes of an error's message and data that travel; the rest is cut off."""


class RpcError(LiveKitError):
    """A call failed.

    Raised by `LocalParticipant.perform_rpc`. A handler may raise it too: its caller gets the same code, message (of
    which 256 bytes travel) and data (15,360 bytes).

    Args:
        code: What went wrong. 1001 to 1999 are LiveKit's own, see `RpcError.ErrorCode`.
        message: In words.
        data: More about it; JSON is usual.
    """

    class ErrorCode(IntEnum):
        """The codes that LiveKit's SDKs use themselves."""

        APPLICATION_ERROR = 1500
        CONNECTION_TIMEOUT = 1501
        RESPONSE_TIMEOUT = 1502
        RECIPIENT_DISCONNECTED = 1503
        RESPONSE_PAYLOAD_TOO_LARGE = 1504
        SEND_FAILED = 1505

        UNSUPPORTED_METHOD = 1400
        RECIPIENT_NOT_FOUND = 1401
        REQUEST_PAYLOAD_TOO_LARGE = 1402
        UNSUPPORTED_SERVER = 1403
        UNSUPPORTED_VERSION = 1404

    ErrorMessage: ClassVar[dict[ErrorCode, str]] = {
        ErrorCode.APPLICATION_ERROR: "Application error in method handler",
        ErrorCode.CONNECTION_TIMEOUT: "Connection timeout",
        ErrorCode.RESPONSE_TIMEOUT: "Response timeout",
        ErrorCode.RECIPIENT_DISCONNECTED: "Recipient disconnected",
        ErrorCode.RESPONSE_PAYLOAD_TOO_LARGE: "Response payload too large",
        ErrorCode.SEND_FAILED: "Failed to send",
        ErrorCode.UNSUPPORTED_METHOD: "Method not supported at destination",
        ErrorCode.RECIPIENT_NOT_FOUND: "Recipient not found",
        ErrorCode.REQUEST_PAYLOAD_TOO_LARGE: "Request payload too large",
        ErrorCode.UNSUPPORTED_SERVER: "RPC not supported by server",
        ErrorCode.UNSUPPORTED_VERSION: "Unsupported RPC version",
    }

    message: str

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self._code = code
        self._data = data

    @property
    def code(self) -> int:
        """What went wrong."""
        return self._code

    @property
    def data(self) -> str | None:
        """More about it, or `None`."""
        return self._data

    def __repr__(self) -> str:
        return f"RpcError(code={int(self._code)}, message={self.message!r}, data={self._data!r})"


def rpc_error(code: RpcError.ErrorCode, data: str | None = None) -> RpcError:
    """Return an error of LiveKit's own, with its usual message."""
    return RpcError(code, RpcError.ErrorMessage[code], data)


def truncate(text: str, limit: int) -> str:
    """Return as much of a text as fits into `limit` bytes of UTF-8, cut between two characters."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")
