"""DTLS between two of our own ends: the handshake, the check of the peer, and the keys for SRTP."""

from __future__ import annotations

import pytest

pytest.importorskip("pylibsrtp", reason="needs the extra [server]")
pytest.importorskip("OpenSSL", reason="needs the extra [server]")

from hypothesis import given, settings
from hypothesis import strategies as st

from aiolivekit.server.dtls import MTU, Certificate, DtlsEndpoint, DtlsError

OURS, THEIRS = Certificate(), Certificate()


def pair(theirs: str = "") -> tuple[DtlsEndpoint, DtlsEndpoint]:
    client = DtlsEndpoint(OURS, client=True, fingerprints=[("sha-256", theirs or THEIRS.fingerprint)])
    server = DtlsEndpoint(THEIRS, client=False, fingerprints=[("SHA-256", OURS.fingerprint.lower())])
    return client, server


def shake(client: DtlsEndpoint, server: DtlsEndpoint) -> None:
    for _ in range(10):
        for sender, receiver in ((client, server), (server, client)):
            if not sender.established:
                sender.handshake()
            for datagram in sender.outgoing():
                assert len(datagram) <= MTU
                receiver.feed(datagram)
        if client.established and server.established:
            return
    raise AssertionError("no end of the handshake")


def test_both_ends_get_the_same_keys_and_data_flows() -> None:
    client, server = pair()
    shake(client, server)
    packet = b"\x80\x60\x00\x01" + b"\0" * 8 + b"payload"
    ours, theirs = client.srtp(), server.srtp()
    assert theirs.inbound.unprotect(ours.outbound.protect(packet)) == packet
    assert ours.inbound.unprotect(theirs.outbound.protect(packet)) == packet
    server.feed(client.encrypt(b"hello"))
    assert server.read() == b"hello"
    assert server.read() is None


def test_another_certificate_than_promised_is_refused() -> None:
    client, server = pair(theirs=OURS.fingerprint)
    with pytest.raises(DtlsError, match="fingerprint"):
        shake(client, server)


@pytest.mark.parametrize("fingerprints", [[], [("md5", "AA")], [("sha-256", "")]])
def test_no_usable_fingerprint_is_refused(fingerprints: list[tuple[str, str]]) -> None:
    client = DtlsEndpoint(OURS, client=True, fingerprints=fingerprints)
    server = DtlsEndpoint(THEIRS, client=False, fingerprints=[("sha-256", OURS.fingerprint)])
    with pytest.raises(DtlsError):
        shake(client, server)


def test_a_goodbye_is_heard() -> None:
    client, server = pair()
    shake(client, server)
    client.close()
    for datagram in client.outgoing():
        server.feed(datagram)
    with pytest.raises(ConnectionError):
        server.read()


def test_a_lost_flight_is_sent_again() -> None:
    client, _ = pair()
    client.handshake()
    first = client.outgoing()
    assert first
    timeout = client.timeout()
    assert timeout is not None
    assert 0 < timeout <= 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=100), max_size=5), st.sampled_from([20, 21, 22, 23]))
def test_noise_is_refused_or_ignored(datagrams: list[bytes], kind: int) -> None:
    client, server = pair()
    shake(client, server)
    for datagram in datagrams:
        server.feed(bytes((kind,)) + b"\xfe\xfd" + datagram)
        server.read()
    server.feed(client.encrypt(b"still here"))
    messages = []
    while (message := server.read()) is not None:
        messages.append(message)
    assert messages in ([b"still here"], [])


def test_what_cannot_be_sent_raises_and_breaks_nothing() -> None:
    client, server = pair()
    shake(client, server)
    with pytest.raises(DtlsError):
        client.encrypt(b"")
    server.feed(client.encrypt(b"x" * 16_000))
    assert server.read() == b"x" * 16_000
