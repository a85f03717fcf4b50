"""What `doctor` says of certificates."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiolivekit.cli.doctor.examination import Credentials
from aiolivekit.server import DevServer

from .cli_process import run
from .examining import look

pytestmark = pytest.mark.e2e


@pytest.fixture
async def dev() -> AsyncIterator[DevServer]:
    async with DevServer() as server:
        yield server


def certificate(directory: Path, name: str, *, days: int) -> tuple[Path, Path]:
    """A certificate signed by itself; returns the files of certificate and key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC) - timedelta(days=100)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(datetime.now(UTC) + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = directory / f"{name}{days}.pem", directory / f"{name}{days}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@asynccontextmanager
async def encrypted(server: DevServer, files: tuple[Path, Path]) -> AsyncIterator[str]:
    """TLS in front of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    front = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with front:
        yield f"wss://localhost:{front.sockets[0].getsockname()[1]}"


async def test_over_tls(dev: DevServer, tmp_path: Path) -> None:
    files = certificate(tmp_path, "localhost", days=40)
    async with encrypted(dev, files) as url:
        key = ("--api-key", dev.api_key, "--api-secret", dev.api_secret)
        more = {"SSL_CERT_FILE": str(files[0])}
        status, out, errors = await run("doctor", url, *key, "--json", more=more)
    result = json.loads(out)
    # `localhost` has an address of the other family too, on which nothing listens here.
    bad = [check for check in result["checks"] if check["status"] not in ("passed", "warning")]
    assert (status, bad, errors) == (0, [], "")
    tls = result["checks"][2]
    assert tls["version"].startswith("TLSv1.")
    assert 39 <= tls["days_left"] <= 40


@pytest.mark.parametrize(
    ("name", "days", "trusted", "words"),
    [
        ("localhost", 40, False, "signed by itself"),
        ("localhost", 3, True, "valid for 3 days"),
        ("localhost", -3, True, "has expired"),
        ("elsewhere.example", 40, True, "for another name"),
    ],
    ids=["self-signed", "a last week", "expired", "another name"],
)
async def test_bad_certificates(
    dev: DevServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    days: int,
    trusted: bool,
    words: str,
) -> None:
    files = certificate(tmp_path, name, days=days)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    async with encrypted(dev, files) as url:
        found = await look(url, Credentials())
    assert words in found["TLS"].verdict.words
    assert found["TLS"].verdict.status == ("warning" if days == 3 else "failed")
    assert found["TLS"].verdict.advice


async def test_tls_where_there_is_none(dev: DevServer) -> None:
    found = await look(dev.url.replace("ws:", "wss:"), Credentials())
    assert found.statuses("failed") == ["TLS"]
    assert "does not speak TLS" in found["TLS"].verdict.words
    assert "ws://" in found["TLS"].verdict.advice
