"""Has the official SDK encrypt and ratchet, and prints what came out as JSON.

    python -m tests.interop.make_e2ee_vectors > tests/unit/e2ee/vectors/livekit_sdk.json

Its packets and frames are taken by a participant of ours that has no key, as the server forwards them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Any

os.environ["WRTC_ALLOW_LOOPBACK"] = "1"

from livekit import rtc
from livekit.protocol import models

import aiolivekit
from aiolivekit.peer.transforms import EncodedFrame, FrameLayer
from aiolivekit.session import channels
from aiolivekit.testing import EmbeddedServer

KEY = b"the official key"
FUNCTIONS = {"PBKDF2": 0, "HKDF": 1}
SALTS = ("LKFrameEncryptionKey", "another salt")
FRAMES_EACH = 2


def options(derivation: str, salt: str = SALTS[0]) -> rtc.RoomOptions:
    keys = rtc.KeyProviderOptions(
        shared_key=KEY,
        ratchet_salt=salt.encode(),
        key_derivation_function=FUNCTIONS[derivation],  # type: ignore[arg-type]
    )
    return rtc.RoomOptions(encryption=rtc.E2EEOptions(key_provider_options=keys))


async def ratchets(server: EmbeddedServer) -> list[dict[str, Any]]:
    found = []
    for derivation in FUNCTIONS:
        for salt in SALTS:
            room = rtc.Room()
            await room.connect(server.url, server.token("alice", room="ratchet"), options(derivation, salt))
            keys = room.e2ee_manager.key_provider
            assert keys is not None
            steps = [keys.ratchet_shared_key(0).hex() for _ in range(3)]
            found.append({"derivation": derivation, "salt": salt, "key": KEY.hex(), "steps": steps})
            await room.disconnect()
    return found


async def packets_and_frames(server: EmbeddedServer) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    packets: list[dict[str, Any]] = []
    frames: list[dict[str, Any]] = []
    sent: list[tuple[str, int, bytes]] = []
    received: asyncio.Queue[models.EncryptedPacket] = asyncio.Queue()
    parse = channels._parse

    def keep(data: bytes) -> models.DataPacket:
        packet = parse(data)
        if packet.WhichOneof("value") == "encrypted_packet":
            received.put_nowait(packet.encrypted_packet)
        return packet

    channels._parse = keep
    spy = aiolivekit.Room()
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(frame: EncodedFrame) -> bool:
        codec = "opus" if frame.kind == "audio" else frame.codec
        entry = {"key": KEY.hex(), "kind": frame.kind, "codec": codec, "key_frame": frame.key_frame}
        if len(frame.data) > 60 and sum(entry.items() <= each.items() for each in frames) < FRAMES_EACH:
            frames.append({**entry, "sealed": bytes(frame.data).hex()})
        if len(frames) == 3 * FRAMES_EACH:
            loop.call_soon_threadsafe(enough.set)
        return False

    def on_track(track: Any, *_: Any) -> None:
        track._media.chain.set_step(FrameLayer.CIPHER, look)

    spy.on("track_subscribed", on_track)
    await spy.connect(server.url, server.token("spy", room="frames"))
    for derivation in FUNCTIONS:
        room = rtc.Room()
        await room.connect(server.url, server.token("alice", room="frames"), options(derivation))
        keys = room.e2ee_manager.key_provider
        assert keys is not None
        for index in (0, 3):
            keys.set_shared_key(KEY, index)
            payload = f"by {derivation} under {index}".encode()
            await room.local_participant.publish_data(payload, topic="t")
            packet = await asyncio.wait_for(received.get(), 10)
            assert packet.key_index == index
            user = models.UserPacket(payload=payload, topic="t")
            sent.append((derivation, index, payload))
            packets.append(
                {
                    "derivation": derivation,
                    "index": index,
                    "key": KEY.hex(),
                    "iv": packet.iv.hex(),
                    "sealed": packet.encrypted_value.hex(),
                    "plain": _plain(packet, derivation, index, user).hex(),
                }
            )
        if derivation == "PBKDF2":
            await _publish(room, enough)
        await room.disconnect()
    await spy.disconnect()
    channels._parse = parse
    return packets, frames


def _plain(packet: models.EncryptedPacket, derivation: str, index: int, user: models.UserPacket) -> bytes:
    """What the SDK encrypted: the user packet with what it adds, as the key says; checked against what was sent."""
    from aiolivekit.e2ee.keys import KeyProvider
    from aiolivekit.e2ee.options import KeyProviderOptions
    from aiolivekit.e2ee.packet_cryptor import PacketCryptor

    provider = KeyProvider(KeyProviderOptions(key_derivation_function=FUNCTIONS[derivation]))
    provider.set_key("alice", KEY, index)
    cryptor = PacketCryptor(provider, 1, protects=True, accept_plaintext=False)
    opened = cryptor.open_bytes("alice", index, packet.iv, packet.encrypted_value)
    assert isinstance(opened, bytes)
    inner = models.EncryptedPacketPayload.FromString(opened).user
    assert (inner.payload, inner.topic) == (user.payload, user.topic)
    return opened


async def _publish(room: rtc.Room, enough: asyncio.Event) -> None:
    source, camera = rtc.AudioSource(48_000, 1), rtc.VideoSource(160, 120)
    await room.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("a", source))
    video = rtc.TrackPublishOptions(simulcast=False)
    await room.local_participant.publish_track(rtc.LocalVideoTrack.create_video_track("v", camera), video)

    async def play() -> None:
        number = 0
        while True:
            number += 1
            await source.capture_frame(rtc.AudioFrame(os.urandom(960), 48_000, 1, 480))
            if number % 5 == 0:
                pixels = bytes((index + number) & 0xFF for index in range(160 * 120 * 3 // 2))
                camera.capture_frame(rtc.VideoFrame(160, 120, rtc.VideoBufferType.I420, pixels))

    playing = asyncio.ensure_future(play())
    try:
        await asyncio.wait_for(enough.wait(), 30)
    finally:
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing
        await source.aclose()
        await camera.aclose()


async def main() -> None:
    with EmbeddedServer() as server:
        ratcheted = await ratchets(server)
        packets, frames = await packets_and_frames(server)
    made_by = f"livekit {version('livekit')}, tests/interop/make_e2ee_vectors.py"
    json.dump({"made_by": made_by, "ratchets": ratcheted, "packets": packets, "frames": frames}, sys.stdout, indent=1)


if __name__ == "__main__":
    asyncio.run(main())
