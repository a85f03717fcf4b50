"""The few STUN messages that ICE-lite needs (RFC 8489, RFC 8445), without I/O."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from dataclasses import dataclass

__all__ = ["BindingRequest", "binding_error", "binding_response", "is_stun", "parse_binding_request", "verifies"]

MAGIC_COOKIE = 0x2112A442
FINGERPRINT_XOR = 0x5354554E

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
XOR_MAPPED_ADDRESS = 0x0020
USE_CANDIDATE = 0x0025
FINGERPRINT = 0x8028


@dataclass(frozen=True, slots=True)
class BindingRequest:
    """A parsed, unverified binding request."""

    transaction_id: bytes
    local_ufrag: str
    remote_ufrag: str
    use_candidate: bool
    integrity: bytes
    integrity_offset: int
    raw: bytes


def is_stun(data: bytes) -> bool:
    """Whether a datagram is a STUN message (RFC 7983: first byte 0 to 3, and the cookie)."""
    return len(data) >= 20 and data[0] < 4 and data[4:8] == b"\x21\x12\xa4\x42"


def parse_binding_request(data: bytes) -> BindingRequest | None:
    """Parse a binding request; `None` for anything else or anything malformed."""
    if not is_stun(data):
        return None
    message_type, length = struct.unpack_from("!HH", data)
    if message_type != BINDING_REQUEST or length % 4 or 20 + length != len(data):
        return None
    username = integrity = b""
    integrity_offset = 0
    use_candidate = False
    position = 20
    while position + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, position)
        value = data[position + 4 : position + 4 + size]
        if len(value) != size:
            return None
        if kind == USERNAME:
            username = value
        elif kind == USE_CANDIDATE:
            use_candidate = True
        elif kind == MESSAGE_INTEGRITY:
            if size != 20:
                return None
            # What follows the integrity is not covered by it, and is ignored.
            integrity, integrity_offset = value, position
            break
        position += 4 + size + (-size % 4)
    local, colon, remote = username.partition(b":")
    if not colon or not integrity or not local.isascii() or not remote.isascii():
        return None
    return BindingRequest(data[8:20], local.decode(), remote.decode(), use_candidate, integrity, integrity_offset, data)


def verifies(request: BindingRequest, password: str) -> bool:
    """Whether the request was made by someone who knows the password."""
    offset = request.integrity_offset
    # The length in the header is the one up to and including the integrity attribute.
    covered = request.raw[:2] + struct.pack("!H", offset + 24 - 20) + request.raw[4:offset]
    expected = hmac.new(password.encode(), covered, hashlib.sha1).digest()
    return hmac.compare_digest(expected, request.integrity)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + b"\x00" * (-len(value) % 4)


def _seal(message_type: int, transaction_id: bytes, body: bytes, password: str) -> bytes:
    head = struct.pack("!HHI", message_type, len(body) + 24, MAGIC_COOKIE) + transaction_id
    body += _attribute(MESSAGE_INTEGRITY, hmac.new(password.encode(), head + body, hashlib.sha1).digest())
    head = struct.pack("!HHI", message_type, len(body) + 8, MAGIC_COOKIE) + transaction_id
    return head + body + _attribute(FINGERPRINT, struct.pack("!I", zlib.crc32(head + body) ^ FINGERPRINT_XOR))


def binding_response(request: BindingRequest, address: tuple[str, int], password: str) -> bytes:
    """Return the success response that tells the sender the address we see."""
    host = ipaddress.ip_address(address[0].partition("%")[0])
    mask = struct.pack("!I", MAGIC_COOKIE) + request.transaction_id
    packed = bytes(a ^ b for a, b in zip(host.packed, mask, strict=False))
    value = struct.pack("!BBH", 0, 1 if host.version == 4 else 2, address[1] ^ (MAGIC_COOKIE >> 16)) + packed
    return _seal(BINDING_SUCCESS, request.transaction_id, _attribute(XOR_MAPPED_ADDRESS, value), password)


def binding_error(request: BindingRequest, code: int, reason: str, password: str) -> bytes:
    """Return an error response."""
    value = struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()
    return _seal(BINDING_ERROR, request.transaction_id, _attribute(ERROR_CODE, value), password)
