"""aiohttp's exceptions, as ours. They hold URLs with tokens and addresses, so nothing of their text is used."""

from __future__ import annotations

import os
import re
import socket
import ssl

import aiohttp

from ..errors import (
    ConnectError,
    ConnectTimeoutError,
    InvalidUrlError,
    ProtocolError,
    ServerRefusedError,
    SignalClosedError,
    TlsError,
    UnreachableError,
)

__all__ = ["connection_error"]

_TLS = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientSSLError,
    aiohttp.ServerFingerprintMismatch,
    ssl.SSLError,
    ssl.CertificateError,
)
_QUOTED = re.compile(r"'[^']*'")


def connection_error(error: Exception) -> ConnectError:
    """Name what kept a handshake from taking place.

    Args:
        error: What aiohttp raised; not a refusal (`WSServerHandshakeError`), which has a status to go by.
    """
    match error:
        case ConnectError():
            return error
        case aiohttp.ClientProxyConnectionError():
            return UnreachableError("the proxy cannot be reached", detail=_os_words(error.os_error))
        case aiohttp.ClientHttpProxyError():
            return UnreachableError("the proxy refused to connect", status=error.status)
        case _ if isinstance(error, _TLS):
            return TlsError("the TLS handshake failed", detail=_tls_words(error))
        case aiohttp.ClientConnectorError():
            # A failed look-up of the name among them (ClientConnectorDNSError), whose cause is a gaierror.
            return UnreachableError("the server cannot be reached", detail=_os_words(error.os_error))
        case TimeoutError():
            return ConnectTimeoutError("the WebSocket handshake exceeded a limit of the HTTP session")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return SignalClosedError("the connection was closed during the WebSocket handshake")
        case aiohttp.TooManyRedirects():
            return ServerRefusedError("the server redirects in a circle", status=error.status)
        case aiohttp.InvalidURL() | ValueError():
            return InvalidUrlError("the URL of the server, of its redirect or of the proxy is not valid")
        case OSError():
            return UnreachableError("the server cannot be reached", detail=_os_words(error))
        case _:
            return ProtocolError("what answers there does not speak HTTP")


def _os_words(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the name of the host is not known"
    return os.strerror(error.errno) if error.errno else ""


def _tls_words(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        # The name of the host stands in quotes.
        return _QUOTED.sub("it", cause.verify_message or "the certificate is not valid").strip()
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or "").replace("_", " ").lower()
    return ""
