"""What official clients encrypted, and derived, comes out as it should (vectors/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiolivekit.core.encrypted_frame import escape
from aiolivekit.e2ee.keys import KeyProvider
from aiolivekit.e2ee.options import KeyProviderOptions
from aiolivekit.e2ee.packet_cryptor import PacketCryptor
from aiolivekit.enums import KeyDerivationFunction

from .frames import Side

VECTORS = Path(__file__).parent / "vectors"
CLIENT = json.loads((VECTORS / "livekit_client.json").read_text())
SDK = json.loads((VECTORS / "livekit_sdk.json").read_text())


@pytest.fixture(scope="module")
def keys() -> dict[tuple[str, int, int], KeyProvider]:
    """Providers that stand where the vectors were made, by derivation, index and ratchet step."""
    found = {}
    for derivation, material in CLIENT["material"].items():
        for index, step in {(each["index"], each["step"]) for each in CLIENT["packets"]}:
            options = KeyProviderOptions(
                ratchet_salt=CLIENT["salt"].encode(),
                ratchet_window_size=0,
                key_derivation_function=KeyDerivationFunction[derivation],
            )
            provider = KeyProvider(options)
            provider.set_key("alice", bytes.fromhex(material), index)
            for _ in range(step):
                provider.ratchet_key("alice", index)
            found[derivation, index, step] = provider
    return found


def name_of(vector: dict[str, Any]) -> str:
    return "-".join(str(vector.get(name, "")) for name in ("derivation", "codec", "key_frame", "index", "step"))


@pytest.mark.parametrize("vector", CLIENT["frames"], ids=name_of)
def test_frames_of_livekit_client(keys: dict[tuple[str, int, int], KeyProvider], vector: dict[str, Any]) -> None:
    provider = keys[vector["derivation"], vector["index"], vector["step"]]
    kind, codec, key_frame = vector["kind"], vector["codec"], vector["key_frame"]
    plain, sealed = bytes.fromhex(vector["plain"]), bytes.fromhex(vector["sealed"])
    receiving = Side(provider, outgoing=False)
    assert receiving(sealed, kind, codec, key_frame=key_frame) == plain
    # With the nonce that was used there, ours is the same to the byte.
    sending = Side(provider, outgoing=True)
    sending.cryptor.set_key_index(vector["index"])
    sending.cryptor._nonces = Used(_nonce_of(sealed, codec))  # type: ignore[assignment]
    assert sending(plain, kind, codec, key_frame=key_frame) == sealed


class Used:
    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce

    def next(self) -> bytes:
        return self._nonce


def _nonce_of(sealed: bytes, codec: str) -> bytes:
    if codec != "h264":
        return sealed[-14:-2]
    for size in range(12, 20):
        tail = sealed[-size - 2 :].replace(b"\0\0\3", b"\0\0")
        if len(tail) == 14 and escape(tail).endswith(sealed[-12:]):
            return tail[:12]
    raise AssertionError("no nonce")


@pytest.mark.parametrize("vector", CLIENT["packets"], ids=name_of)
def test_packets_of_livekit_client(keys: dict[tuple[str, int, int], KeyProvider], vector: dict[str, Any]) -> None:
    provider = keys[vector["derivation"], vector["index"], vector["step"]]
    cryptor = PacketCryptor(provider, 1, protects=True, accept_plaintext=False)
    nonce, sealed = bytes.fromhex(vector["iv"]), bytes.fromhex(vector["sealed"])
    assert cryptor.open_bytes("alice", vector["index"], nonce, sealed) == bytes.fromhex(vector["plain"])


@pytest.mark.parametrize("vector", SDK["ratchets"], ids=lambda each: f"{each['derivation']}-{each['salt']}")
def test_ratchet_of_the_official_sdk(vector: dict[str, Any]) -> None:
    options = KeyProviderOptions(
        shared_key=bytes.fromhex(vector["key"]),
        ratchet_salt=vector["salt"].encode(),
        key_derivation_function=KeyDerivationFunction[vector["derivation"]],
        ratchet_window_size=0,
    )
    provider = KeyProvider(options)
    assert provider.export_shared_key(0) == bytes.fromhex(vector["key"])
    assert [provider.ratchet_shared_key(0).hex() for _ in vector["steps"]] == vector["steps"]
    assert provider.export_shared_key(0).hex() == vector["steps"][-1]


@pytest.mark.parametrize("vector", SDK["packets"], ids=lambda each: f"{each['derivation']}-{each['index']}")
def test_packets_of_the_official_sdk(vector: dict[str, Any]) -> None:
    options = KeyProviderOptions(
        key_derivation_function=KeyDerivationFunction[vector["derivation"]], ratchet_window_size=0
    )
    provider = KeyProvider(options)
    provider.set_key("alice", bytes.fromhex(vector["key"]), vector["index"])
    cryptor = PacketCryptor(provider, 1, protects=True, accept_plaintext=False)
    nonce, sealed = bytes.fromhex(vector["iv"]), bytes.fromhex(vector["sealed"])
    assert cryptor.open_bytes("alice", vector["index"], nonce, sealed) == bytes.fromhex(vector["plain"])


@pytest.mark.parametrize("vector", SDK["frames"], ids=lambda each: f"{each['codec']}-{each['key_frame']}")
def test_frames_of_the_official_sdk(vector: dict[str, Any]) -> None:
    provider = KeyProvider(KeyProviderOptions(shared_key=bytes.fromhex(vector["key"]), ratchet_window_size=0))
    receiving = Side(provider, outgoing=False)
    opened = receiving(bytes.fromhex(vector["sealed"]), vector["kind"], vector["codec"], key_frame=vector["key_frame"])
    assert opened is not None
    # What the frame was before, nobody but the encoder knew; the tag says that it is the same.
    assert receiving.states[-1].name == "OK"
