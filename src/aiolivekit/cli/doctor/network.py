"""Probes below HTTP: name, port, certificate."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import threading
import time
from typing import Any

from .address import Address
from .findings import DnsFinding, TcpFinding, TcpProblem, TlsFinding, TlsProblem

__all__ = ["look_up", "reach", "shake_hands"]

_VERIFY: dict[int, TlsProblem] = {
    9: "not yet valid",
    10: "expired",
    18: "self-signed",
    19: "unknown authority",
    20: "unknown authority",
    21: "unknown authority",
    62: "other name",
    64: "other name",
}
"""OpenSSL's X509_V_ERR_*."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


async def look_up(address: Address, timeout: float) -> DnsFinding:
    """Ask the resolver for the addresses of the host."""
    literal = address.literal
    if literal is not None:
        return DnsFinding((literal,), literal=True)
    try:
        async with asyncio.timeout(timeout):
            found = await _resolve(address.host, address.port)
    except TimeoutError:
        return DnsFinding(problem="timeout")
    except (OSError, UnicodeError):
        return DnsFinding(problem="unknown")
    return DnsFinding(tuple(dict.fromkeys(str(each[4][0]) for each in found)))


async def _resolve(host: str, port: int) -> list[Any]:
    # On a thread that nobody waits for: a resolver may be silent for longer than the user is patient.
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Any]] = loop.create_future()

    def settle(result: list[Any] | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result or [])

    def ask() -> None:
        result, failure = None, None
        try:
            result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed, for we were too late
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=ask, name="aiolivekit doctor", daemon=True).start()
    return await future


async def reach(address: Address, addresses: tuple[str, ...], timeout: float) -> TcpFinding:
    """Connect to each address, all at once; the first that works is the one that counts."""
    results = await asyncio.gather(*(_connect(each, address.port, timeout) for each in addresses))
    good = [each for each, problem in zip(addresses, results, strict=True) if problem is None]
    bad = tuple((each, problem) for each, problem in zip(addresses, results, strict=True) if problem is not None)
    return TcpFinding(address.port, good[0] if good else None, bad)


async def _connect(address: str, port: int, timeout: float) -> TcpProblem | None:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return "unreachable" if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH) else "other"
    writer.transport.abort()
    return None


async def shake_hands(address: Address, reached: str, timeout: float) -> TlsFinding:
    """Make a TLS handshake, verifying as the SDK does."""
    context = ssl.create_default_context()
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(
                reached, address.port, ssl=context, server_hostname=address.host, ssl_handshake_timeout=timeout + 1
            )
    except TimeoutError:
        return TlsFinding(problem="timeout")
    except ssl.SSLCertVerificationError as error:
        return TlsFinding(problem=_VERIFY.get(error.verify_code, "other"))
    except ssl.SSLError as error:
        reason = error.reason or ""
        problem: TlsProblem = "no TLS" if any(sign in reason for sign in _NO_TLS) else "other"
        return TlsFinding(problem=problem, detail="" if problem == "no TLS" else reason.replace("_", " ").lower())
    except OSError:
        return TlsFinding(problem="other", detail="the connection is closed")
    try:
        session = writer.get_extra_info("ssl_object")
        certificate = writer.get_extra_info("peercert") or {}
        days = None
        if "notAfter" in certificate:
            days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400
        return TlsFinding(str(session.version()) if session is not None else "TLS", days)
    finally:
        writer.transport.abort()
