"""STUN: what is answered, and that nothing else is taken for a request."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.server.stun import binding_error, binding_response, is_stun, parse_binding_request, verifies


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def make_request(local: str, remote: str, password: str, *, nominate: bool = True, extra: bytes = b"") -> bytes:
    transaction = os.urandom(12)
    body = attribute(0x0006, f"{local}:{remote}".encode()) + attribute(0x0024, b"\0\0\0\1") + extra
    if nominate:
        body += attribute(0x0025, b"")
    head = struct.pack("!HHI", 1, len(body) + 24, 0x2112A442) + transaction
    body += attribute(0x0008, hmac.new(password.encode(), head + body, hashlib.sha1).digest())
    head = struct.pack("!HHI", 1, len(body) + 8, 0x2112A442) + transaction
    return head + body + attribute(0x8028, struct.pack("!I", zlib.crc32(head + body) ^ 0x5354554E))


def test_a_request_is_read_and_verified() -> None:
    request = parse_binding_request(make_request("ours", "theirs", "password"))
    assert request is not None
    assert (request.local_ufrag, request.remote_ufrag, request.use_candidate) == ("ours", "theirs", True)
    assert verifies(request, "password")
    assert not verifies(request, "other")


def test_a_changed_request_does_not_verify() -> None:
    data = bytearray(make_request("ours", "theirs", "password"))
    data[30] ^= 1
    request = parse_binding_request(bytes(data))
    assert request is None or not verifies(request, "password")


def test_the_response_names_the_address_and_is_signed() -> None:
    request = parse_binding_request(make_request("ours", "theirs", "password"))
    assert request is not None
    for host, size in (("192.0.2.7", 4), ("2001:db8::1", 16)):
        response = binding_response(request, (host, 4242), "password")
        kind, length, _ = struct.unpack_from("!HHI", response)
        assert (kind, length) == (0x0101, len(response) - 20)
        assert response[8:20] == request.transaction_id
        name, value_size, _, family, port = struct.unpack_from("!HHBBH", response, 20)
        assert (name, value_size, family, port ^ 0x2112) == (0x0020, 4 + size, 1 if size == 4 else 2, 4242)
        position = 20 + 4 + value_size
        covered = response[:2] + struct.pack("!H", position + 24 - 20) + response[4:position]
        assert response[position + 4 : position + 24] == hmac.new(b"password", covered, hashlib.sha1).digest()
        (crc,) = struct.unpack_from("!I", response, len(response) - 4)
        assert crc == zlib.crc32(response[:-8]) ^ 0x5354554E
    error = binding_error(request, 401, "Unauthorized", "password")
    assert struct.unpack_from("!H", error)[0] == 0x0111


@given(st.binary(max_size=200))
def test_noise_is_no_request(data: bytes) -> None:
    assert parse_binding_request(data) is None
    assert parse_binding_request(b"\0\1" + data) is None


@given(st.binary(max_size=120), st.integers(0, 119), st.integers(0, 255))
def test_a_damaged_request_never_raises(extra: bytes, position: int, value: int) -> None:
    data = bytearray(make_request("ours", "theirs", "password", extra=extra))
    data[position % len(data)] = value
    is_stun(bytes(data))
    request = parse_binding_request(bytes(data))
    if request is not None:
        verifies(request, "password")
