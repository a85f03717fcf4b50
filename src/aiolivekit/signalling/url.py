"""The addresses of a server, from the URL users give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yarl import URL

from ..errors import InvalidUrlError

__all__ = ["Endpoints", "SignalPath"]

SignalPath = Literal["v1", "v0"]
"""Which endpoint: `/rtc/v1` (one peer connection) or `/rtc` (one for each direction)."""

_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}
_PATHS: dict[SignalPath, str] = {"v1": "/rtc/v1", "v0": "/rtc"}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A server's base address, cut into the parts that requests are made of."""

    websocket: str
    """Scheme (ws or wss), host, port and path prefix, without a slash at the end."""
    query: str
    """The query the user's URL came with."""

    @classmethod
    def of(cls, url: str) -> Endpoints:
        """Read a URL.

        A path is kept as a prefix, a query is passed on, a fragment is dropped.

        Raises:
            InvalidUrlError: If it is no `ws`, `wss`, `http` or `https` URL with a host, or carries credentials.
        """
        if not isinstance(url, str):
            raise InvalidUrlError("the URL is not a string")
        parsed = _parse(url.strip())
        if parsed is None:
            raise InvalidUrlError("the URL cannot be read")
        scheme = _SCHEMES.get(parsed.scheme)
        if scheme is None:
            raise InvalidUrlError("the URL does not begin with wss://, ws://, https:// or http://")
        if not parsed.raw_host:
            raise InvalidUrlError("the URL has no host")
        if parsed.raw_user is not None or parsed.raw_password is not None:
            raise InvalidUrlError("the URL contains credentials; a LiveKit server takes a token instead")
        base = parsed.with_scheme(scheme).with_query(None).with_fragment(None)
        return cls(str(base).rstrip("/"), parsed.raw_query_string)

    def signal(self, path: SignalPath, query: str) -> URL:
        """Build the address of the WebSocket; `query` is percent-encoded."""
        return URL(f"{self.websocket}{_PATHS[path]}?{self._join(query)}", encoded=True)

    def validate(self, path: SignalPath, query: str) -> URL:
        """Build the HTTP address that says why the WebSocket of the same parameters is refused."""
        http = "http" + self.websocket.removeprefix("ws")
        return URL(f"{http}{_PATHS[path]}/validate?{self._join(query)}", encoded=True)

    def _join(self, query: str) -> str:
        return f"{self.query}&{query}" if self.query else query


def _parse(url: str) -> URL | None:
    if not url or any(char.isspace() or not char.isprintable() for char in url):
        return None
    try:
        parsed = URL(url)
        # Reading the port finds one that is out of range.
        return parsed if parsed.port is None or 0 < parsed.port < 65536 else None
    except (ValueError, UnicodeError):
        return None
