"""The three clients in encrypted rooms: the same keys, set and ratcheted in each one's way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from . import media
from .client import FPS, Client, Colour
from .page_client import PageClient
from .sdk_client import SdkClient

__all__ = ["EncryptedClient", "EncryptedPage", "EncryptedSdk", "Keeping"]


@dataclass(frozen=True)
class Keeping:
    """How keys are kept.

    Args:
        shared: Whether all have one key.
        window: How many ratchet steps are followed.
        tolerance: How often a key may fail.
    """

    shared: bool = True
    window: int = 8
    tolerance: int = 10


class EncryptedClient(Protocol):
    """What a client can do in an encrypted room besides."""

    async def join_encrypted(self, url: str, token: str, keeping: Keeping, *, single: bool) -> None: ...

    async def set_key(self, key: str, index: int = 0, *, identity: str | None = None) -> None:
        """Set a key; ours, if there is one under another index already, is used from now on."""
        ...

    async def ratchet(self, index: int = 0, *, identity: str | None = None) -> None: ...

    async def publish_coded(self, colour: Colour, codec: str) -> str: ...

    async def is_told_of_a_wrong_key(self, identity: str) -> None: ...


class EncryptedSdk(SdkClient):
    """A room of one of the two SDKs."""

    async def join_encrypted(self, url: str, token: str, keeping: Keeping, *, single: bool) -> None:
        rtc = self._rtc
        keys = rtc.KeyProviderOptions(
            # There is none before it is set, but this says that it will be everybody's.
            shared_key=b"not set yet" if keeping.shared else None,
            ratchet_window_size=keeping.window,
            failure_tolerance=keeping.tolerance,
        )
        self.room.on("e2ee_state_changed", self._state_changed)
        encryption = rtc.E2EEOptions(key_provider_options=keys)
        await self.room.connect(url, token, rtc.RoomOptions(single_peer_connection=single, encryption=encryption))

    def _state_changed(self, participant: Any, state: Any) -> None:
        name = self._rtc.EncryptionState.Name(int(state))
        self.events.add("e2ee_state_changed", identity=participant.identity, state=name)

    async def set_key(self, key: str, index: int = 0, *, identity: str | None = None) -> None:
        manager = self.room.e2ee_manager
        if identity is None:
            manager.key_provider.set_shared_key(key.encode(), index)
        else:
            manager.key_provider.set_key(identity, key.encode(), index)
        if identity in (None, self.identity):
            for cryptor in manager.frame_cryptors():
                if cryptor.participant_identity == self.identity:
                    cryptor.set_key_index(index)

    async def ratchet(self, index: int = 0, *, identity: str | None = None) -> None:
        keys = self.room.e2ee_manager.key_provider
        if identity is None:
            keys.ratchet_shared_key(index)
        else:
            keys.ratchet_key(identity, index)

    async def publish_coded(self, colour: Colour, codec: str) -> str:
        rtc = self._rtc
        source = rtc.VideoSource(320, 180)
        self._sources.append(source)
        camera = media.Camera(colour, 320, 180)

        async def show() -> None:
            position = 0
            while True:
                position += 1
                data = camera.picture(position)
                source.capture_frame(rtc.VideoFrame(320, 180, rtc.VideoBufferType.I420, data))
                await asyncio.sleep(1 / FPS)

        self._background(show())
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, video_codec=rtc.VideoCodec.Value(codec.upper())
        )
        return str((await self._publish(track, options)).sid)

    async def is_told_of_a_wrong_key(self, identity: str) -> None:
        await self.events.wait("e2ee_state_changed", identity=identity, state="DECRYPTION_FAILED")


class EncryptedPage(PageClient):
    """A room of `livekit-client`."""

    async def join_encrypted(self, url: str, token: str, keeping: Keeping, *, single: bool) -> None:
        encryption = {"shared": keeping.shared, "window": keeping.window, "tolerance": keeping.tolerance}
        answer = await self._call(
            "join", url=url, token=token, single=single, autoSubscribe=True, encryption=encryption
        )
        assert "refused" not in answer, answer

    async def set_key(self, key: str, index: int = 0, *, identity: str | None = None) -> None:
        await self._call("setKey", key=key, index=index, identity=identity)

    async def ratchet(self, index: int = 0, *, identity: str | None = None) -> None:
        await self._call("ratchetKey", index=index, identity=identity)

    async def publish_coded(self, colour: Colour, codec: str) -> str:
        return str(
            await self._call(
                "publishPicture",
                colour=colour,
                width=320,
                height=180,
                simulcast=False,
                fps=FPS,
                name="camera",
                codec=codec,
            )
        )

    async def is_told_of_a_wrong_key(self, identity: str) -> None:
        def told() -> bool:
            return any("InvalidKey" in each["message"] for each in self.events.of("encryption_error"))

        await self.events.until(told, lambda: "an error of encryption")


def of(client: Client) -> Any:
    """The same client with what it can do besides."""
    return client
