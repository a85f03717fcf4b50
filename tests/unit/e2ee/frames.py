"""Encoded frames and chains without libwebrtc."""

from __future__ import annotations

from typing import Any, cast

from aiolivekit.e2ee.frame_cryptor import FrameCryptor
from aiolivekit.e2ee.keys import KeyProvider
from aiolivekit.e2ee.options import KeyProviderOptions
from aiolivekit.enums import EncryptionState, KeyDerivationFunction
from aiolivekit.peer.transforms import EncodedFrame, FrameChain

HKDF = KeyDerivationFunction.HKDF


class NativeFrame:
    """What libwebrtc hands over."""

    def __init__(self, data: bytes, codec: str, key_frame: bool) -> None:
        self._data, self._codec, self._key_frame = data, codec, key_frame

    def getData(self) -> bytearray:  # noqa: N802 - wrtc's name
        return bytearray(self._data)

    def getMetadata(self) -> dict[str, Any]:  # noqa: N802
        return {"mimeType": f"video/{self._codec.upper()}", "keyFrame": self._key_frame}


class Chain:
    """Counts what is asked of it."""

    def __init__(self, kind: str = "video") -> None:
        self.kind = kind
        self.key_frames_asked = 0

    def request_key_frame(self) -> None:
        self.key_frames_asked += 1

    def as_chain(self) -> FrameChain:
        return cast(FrameChain, self)


def frame(data: bytes, kind: str = "audio", codec: str = "opus", *, key_frame: bool = False) -> EncodedFrame:
    return EncodedFrame(NativeFrame(data, codec, key_frame), kind)


def provider(key: bytes | None = b"a random key, or so", **options: Any) -> KeyProvider:
    """Keys that are derived in no time."""
    options.setdefault("key_derivation_function", HKDF)
    return KeyProvider(KeyProviderOptions(shared_key=key, **options))


class Side:
    """One side of a track.

    Args:
        keys: Its keys.
        outgoing: Whether it sends.
        sif_trailer: How the server marks its frames.
    """

    def __init__(self, keys: KeyProvider, *, outgoing: bool, kind: str = "audio", sif_trailer: bytes = b"") -> None:
        self.states: list[EncryptionState] = []
        self.chain = Chain(kind)
        self.cryptor = FrameCryptor(
            keys,
            "alice",
            "TR_1",
            outgoing=outgoing,
            key_index=0,
            enabled=True,
            sif_trailer=sif_trailer,
            on_state=lambda _, state: self.states.append(state),
        )
        self.step = self.cryptor._step_of(self.chain.as_chain())

    def __call__(
        self, data: bytes, kind: str = "audio", codec: str = "opus", *, key_frame: bool = False
    ) -> bytes | None:
        """Return what becomes of a frame; `None` if it is dropped."""
        passing = frame(data, kind, codec, key_frame=key_frame)
        return bytes(passing.data) if self.step(passing) else None
