"""The URL of a server, cut into what the probes need."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..output import UsageProblem

__all__ = ["Address"]

_PORTS = {"ws": 80, "wss": 443}
_SCHEMES = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    Attributes:
        scheme: `ws` or `wss`.
        host: Name or address, without brackets.
        port: The one in the URL, or the scheme's.
        prefix: A path before LiveKit's, without a slash at the end.
    """

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a URL.

        Raises:
            UsageProblem: If it is none of a server.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise UsageProblem("the URL cannot be read") from None
        scheme = _SCHEMES.get(parts.scheme)
        if scheme is None:
            raise UsageProblem("the URL does not begin with wss://, ws://, https:// or http://")
        if not parts.hostname or any(each.isspace() for each in parts.hostname):
            raise UsageProblem("the URL has no host")
        if parts.username is not None:
            raise UsageProblem("the URL contains credentials; a LiveKit server takes a token instead")
        return cls(scheme, parts.hostname, port or _PORTS[scheme], parts.path.rstrip("/"))

    @property
    def literal(self) -> str | None:
        """The IP address that stands in the URL, if it is one."""
        try:
            return str(ipaddress.ip_address(self.host))
        except ValueError:
            return None

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        literal = self.literal
        if literal is not None:
            return ipaddress.ip_address(literal).is_loopback
        return self.host.rstrip(".").lower() == "localhost" or self.host.lower().endswith(".localhost")

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme == "wss"

    @property
    def http(self) -> str:
        """The address for HTTP requests."""
        return f"http{'s' if self.encrypted else ''}://{self._place}{self.prefix}"

    @property
    def websocket(self) -> str:
        """The address for WebSockets."""
        return f"{self.scheme}://{self._place}{self.prefix}"

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def proxy(self) -> str | None:
        """The HTTP proxy that this machine's settings name for it, as the SDK would use it."""
        if self.local:
            return None
        proxies = getproxies()
        proxy = proxies.get("https" if self.encrypted else "http") or proxies.get("all")
        if not proxy or proxy_bypass(f"{self.host}:{self.port}"):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"
