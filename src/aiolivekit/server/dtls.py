"""DTLS 1.2 for one peer connection, without I/O: datagrams in, datagrams and data out (RFC 5763, RFC 5764)."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from functools import cached_property

import pylibsrtp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

__all__ = ["Certificate", "DtlsEndpoint", "DtlsError", "SrtpSessions"]

MTU = 1200
"""Largest datagram made from DTLS records, in bytes."""

MAX_RECORD = 16384 + 2048
"""Largest record of DTLS 1.2, in bytes (RFC 6347)."""

_DTLS1_2 = 0xFEFD
_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}


class DtlsError(Exception):
    """The handshake failed, or the peer is not the one its session description promised."""


@dataclass(frozen=True, slots=True)
class _Profile:
    name: bytes
    number: int
    key_size: int
    salt_size: int


# In the order we prefer: AES-GCM is the cheaper one to compute, AES-CM is what every client has.
_PROFILES = (
    _Profile(b"SRTP_AEAD_AES_128_GCM", pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    _Profile(b"SRTP_AES128_CM_SHA1_80", pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
)


def _available() -> tuple[_Profile, ...]:
    found = []
    for profile in _PROFILES:
        try:
            pylibsrtp.Policy(srtp_profile=profile.number)
        except pylibsrtp.Error:  # libsrtp was built without AES-GCM
            continue
        found.append(profile)
    return tuple(found)


class Certificate:
    """A self-signed certificate and the TLS context that uses it; one serves all connections of a server."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(8))])
        now = dt.datetime.now(tz=dt.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        self.profiles = _available()
        self.context = context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS1_2)
        context.set_max_proto_version(_DTLS1_2)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
        # Certificates are self-signed: what is checked is the fingerprint, after the handshake.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(self._certificate)
        context.use_privatekey(key)
        context.set_cipher_list(
            b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256"
        )
        context.set_tlsext_use_srtp(b":".join(profile.name for profile in self.profiles))

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint as session descriptions write it."""
        return _colons(self._certificate.fingerprint(hashes.SHA256()))


def _colons(digest: bytes) -> str:
    return ":".join(f"{byte:02X}" for byte in digest)


@dataclass(frozen=True, slots=True)
class SrtpSessions:
    """The two SRTP sessions that a handshake gave."""

    inbound: pylibsrtp.Session
    outbound: pylibsrtp.Session


class DtlsEndpoint:
    """One end of a DTLS connection.

    Args:
        certificate: Ours.
        client: Whether we send the first flight.
        fingerprints: What the peer's certificate must match: pairs of algorithm and digest.
    """

    def __init__(self, certificate: Certificate, *, client: bool, fingerprints: list[tuple[str, str]]) -> None:
        self._certificate = certificate
        self._client = client
        self._fingerprints = fingerprints
        self.established = False
        self._ssl = connection = SSL.Connection(certificate.context, None)
        connection.set_ciphertext_mtu(MTU)
        if client:
            connection.set_connect_state()
        else:
            connection.set_accept_state()

    def handshake(self) -> bool:
        """Take the next step; return whether this step completed the handshake.

        Raises:
            DtlsError: It failed, or the peer is another than promised.
        """
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise DtlsError("the handshake failed") from error
        self._check_peer()
        self.established = True
        return True

    def _check_peer(self) -> None:
        try:
            peer = self._ssl.get_peer_certificate(as_cryptography=True)
        except ValueError as error:  # OpenSSL takes certificates that cryptography does not
            raise DtlsError("the peer's certificate is malformed") from error
        checked = 0
        for algorithm, value in self._fingerprints:
            digest = _DIGESTS.get(algorithm.lower())
            if digest is None:
                continue
            if peer is None or _colons(peer.fingerprint(digest())) != value.upper():
                raise DtlsError("the peer's certificate does not match its fingerprint")
            checked += 1
        if not checked:
            raise DtlsError("the peer gave no fingerprint we can check")

    def srtp(self) -> SrtpSessions:
        """Return SRTP sessions for the keys the handshake made.

        Raises:
            DtlsError: No SRTP profile was agreed on.
        """
        name = self._ssl.get_selected_srtp_profile()
        profile = next((p for p in self._certificate.profiles if p.name == name), None)
        if profile is None:
            raise DtlsError("no SRTP profile in common")
        key, salt = profile.key_size, profile.salt_size
        material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client, server = (
            material[i * key : (i + 1) * key] + material[2 * key + i * salt : 2 * key + (i + 1) * salt] for i in (0, 1)
        )
        ours, theirs = (client, server) if self._client else (server, client)
        return SrtpSessions(
            self._session(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND, profile),
            self._session(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, profile),
        )

    @staticmethod
    def _session(key: bytes, ssrc_type: int, profile: _Profile) -> pylibsrtp.Session:
        policy = pylibsrtp.Policy(key=key, ssrc_type=ssrc_type, srtp_profile=profile.number)
        policy.allow_repeat_tx = True  # a retransmission repeats its sequence number
        policy.window_size = 1024
        return pylibsrtp.Session(policy)

    def feed(self, datagram: bytes) -> None:
        """Take a datagram of the peer; call `handshake` or `read` next."""
        self._ssl.bio_write(datagram)

    def read(self) -> bytes | None:
        """Return the next decrypted message; `None` when there is none.

        Raises:
            ConnectionError: The peer ended the connection.
        """
        try:
            return self._ssl.recv(MAX_RECORD)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError as error:
            raise ConnectionResetError("the peer closed DTLS") from error
        except SSL.Error:
            return None  # a forged or broken record: DTLS drops it and goes on

    def encrypt(self, data: bytes) -> bytes:
        """Return one message as the record to send; nothing else may wait in `outgoing`.

        Raises:
            DtlsError: The connection takes no more data.
        """
        try:
            self._ssl.send(data)
            return self._ssl.bio_read(MAX_RECORD)
        except SSL.Error as error:
            raise DtlsError("the connection takes no more data") from error

    def close(self) -> None:
        """Say goodbye; take it with `outgoing`."""
        try:
            self._ssl.shutdown()
        except SSL.Error:
            return

    def outgoing(self) -> list[bytes]:
        """Return what is to be sent, whole records only, no datagram over the MTU unless one record is."""
        data = b""
        while True:
            try:
                data += self._ssl.bio_read(65536)
            except SSL.WantReadError:
                break
        if len(data) <= MTU:
            return [data] if data else []
        datagrams: list[bytes] = []
        start = position = 0
        while position + 13 <= len(data):
            end = position + 13 + int.from_bytes(data[position + 11 : position + 13], "big")
            if end - start > MTU and position > start:
                datagrams.append(data[start:position])
                start = position
            position = end
        datagrams.append(data[start:])
        return datagrams

    def timeout(self) -> float | None:
        """Seconds until `on_timeout` is due; `None` when no flight waits for an answer."""
        value = self._ssl.DTLSv1_get_timeout()
        return None if value is None else float(value)

    def on_timeout(self) -> None:
        """Send the last flight again if it is due."""
        self._ssl.DTLSv1_handle_timeout()
