"""Encrypted rooms of ours with livekit-client and the official SDK: keys, codecs, rotation, wrong keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

import aiolivekit
from aiolivekit.testing.plugin import LiveKitServer
from tests.conftest import PeerMode

from .capabilities import ClientKind
from .encrypted import EncryptedPage, EncryptedSdk, Keeping
from .test_media import CRIMSON, TEAL, hears, sees

pytestmark = [pytest.mark.peer, pytest.mark.parametrize("livekit_server_kind", ["real"], indirect=True)]

KEY, SECOND, WRONG = "a key of ours", "the second key", "a wrong key"
LONG = "what takes more than one chunk " * 2000


class EncryptedStage:
    """Where encrypted clients come on."""

    def __init__(self, server: LiveKitServer, single: bool, request: Any, exits: AsyncExitStack) -> None:
        self.server, self.single = server, single
        self._request, self._exits = request, exits

    async def join(self, kind: ClientKind, identity: str, keeping: Keeping = Keeping()) -> Any:  # noqa: B008
        client: Any
        if kind == "browser":
            chromium = self._request.getfixturevalue("chromium")
            client = EncryptedPage(await chromium.borrow(), chromium, identity)
        else:
            rtc = aiolivekit if kind == "ours" else self._request.getfixturevalue("official")
            client = EncryptedSdk(rtc, kind, identity)
        self._exits.push_async_callback(client.close)
        await client.join_encrypted(self.server.url, self.server.token(identity), keeping, single=self.single)
        return client


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest, livekit_server: LiveKitServer, peer_mode: PeerMode
) -> AsyncIterator[EncryptedStage]:
    async with AsyncExitStack() as exits:
        yield EncryptedStage(livekit_server, peer_mode == "single", request, exits)


async def _data_both_ways(first: Any, second: Any) -> None:
    for client in (first, second):
        await client.receive_streams("stream")
        await client.serve_rpc("say")
    for sender, receiver in ((first, second), (second, first)):
        await sender.send_data(b"user data", topic="user")
        packet = await receiver.events.wait("data_received", topic="user")
        assert (packet["data"], packet["identity"]) == (b"user data", sender.identity)
        await sender.send_text(LONG, topic="stream")
        assert (await receiver.events.wait("text_received"))["text"] == LONG
        await sender.send_bytes(bytes(range(256)) * 200, topic="stream", name="bytes")
        assert (await receiver.events.wait("bytes_received"))["data"] == bytes(range(256)) * 200
        assert await sender.perform_rpc(receiver.identity, "say", "hello") == f"{sender.identity} said hello"


@pytest.mark.parametrize(("mine", "its"), [("vp8", "vp9"), ("vp9", "vp8")])
async def test_media_and_data_with_the_browser(stage: EncryptedStage, peer_mode: PeerMode, mine: str, its: str) -> None:
    if (mine == "vp8") != (peer_mode == "single"):
        pytest.skip("each codec once in each direction")
    ours, page = await stage.join("ours", "ours"), await stage.join("browser", "page")
    for client in (ours, page):
        await client.set_key(KEY)
    sounds = await ours.publish_tone(440), await page.publish_tone(1000)
    pictures = await ours.publish_coded(CRIMSON, mine), await page.publish_coded(TEAL, its)
    for client, index in ((page, 0), (ours, 1)):
        for sid in (sounds[index], pictures[index]):
            await client.events.wait("track_subscribed", sid=sid)
    await asyncio.gather(
        hears(page, sounds[0], 440),
        sees(page, pictures[0], CRIMSON),
        hears(ours, sounds[1], 1000),
        sees(ours, pictures[1], TEAL),
    )
    await _data_both_ways(ours, page)
    assert page.events.of("encryption_error") == []
    assert ours.room.e2ee_manager.packets_dropped == {}


@pytest.mark.parametrize("way", ["to the browser", "from the browser"])
async def test_keys_of_each_ones_own_are_rotated_and_ratcheted_with_the_browser(
    stage: EncryptedStage, peer_mode: PeerMode, way: str
) -> None:
    if peer_mode == "dual":
        pytest.skip("the way of the media does not matter here")
    keeping = Keeping(shared=False)
    kinds: tuple[ClientKind, ClientKind] = ("ours", "browser") if way == "to the browser" else ("browser", "ours")
    sender, receiver = await stage.join(kinds[0], "sender", keeping), await stage.join(kinds[1], "receiver", keeping)
    for client in (sender, receiver):
        await client.set_key("of the receiver", identity="receiver")
        await client.set_key(KEY, identity="sender")
    sound, picture = await sender.publish_tone(500), await sender.publish_coded(CRIMSON, "vp8")
    for sid in (sound, picture):
        await receiver.events.wait("track_subscribed", sid=sid)

    async def arrives(data: bytes) -> None:
        await asyncio.gather(hears(receiver, sound, 500), sees(receiver, picture, CRIMSON))
        await sender.send_data(data, topic=data.decode())
        await receiver.events.wait("data_received", topic=data.decode())

    await arrives(b"first")
    for client in (receiver, sender):
        await client.set_key(SECOND, 1, identity="sender")
    await arrives(b"rotated")
    await sender.ratchet(1, identity="sender")
    await arrives(b"ratcheted")


@pytest.mark.parametrize("way", ["to the browser", "from the browser"])
async def test_a_wrong_key_with_the_browser_can_be_set_right(
    stage: EncryptedStage, peer_mode: PeerMode, way: str
) -> None:
    if peer_mode == "dual":
        pytest.skip("the way of the media does not matter here")
    keeping = Keeping(window=0, tolerance=-1)
    kinds: tuple[ClientKind, ClientKind] = ("ours", "browser") if way == "to the browser" else ("browser", "ours")
    sender, receiver = await stage.join(kinds[0], "sender", keeping), await stage.join(kinds[1], "receiver", keeping)
    await sender.set_key(KEY)
    await receiver.set_key(WRONG)
    sound, picture = await sender.publish_tone(700), await sender.publish_coded(CRIMSON, "vp8")
    for sid in (sound, picture):
        await receiver.events.wait("track_subscribed", sid=sid)
    await receiver.is_told_of_a_wrong_key("sender")
    await receiver.set_key(KEY)
    await asyncio.gather(hears(receiver, sound, 700), sees(receiver, picture, CRIMSON))


@pytest.mark.parametrize("codec", ["vp9", "vp8"])
async def test_media_and_data_with_the_official_sdk(stage: EncryptedStage, peer_mode: PeerMode, codec: str) -> None:
    if (codec == "vp9") != (peer_mode == "single"):
        pytest.skip("each codec once")
    ours, theirs = await stage.join("ours", "ours"), await stage.join("official", "theirs")
    for client in (ours, theirs):
        await client.set_key(KEY)
    pictures = await ours.publish_coded(CRIMSON, codec), await theirs.publish_coded(TEAL, codec)
    for client, sid in ((theirs, pictures[0]), (ours, pictures[1])):
        await client.events.wait("track_subscribed", sid=sid)
    await asyncio.gather(sees(theirs, pictures[0], CRIMSON), sees(ours, pictures[1], TEAL))
    await _data_both_ways(ours, theirs)


async def test_av1_between_two_of_ours(stage: EncryptedStage) -> None:
    alice, bob = await stage.join("ours", "alice"), await stage.join("ours", "bob")
    for client in (alice, bob):
        await client.set_key(KEY)
    picture = await alice.publish_coded(CRIMSON, "av1")
    await bob.events.wait("track_subscribed", sid=picture)
    await sees(bob, picture, CRIMSON)


@pytest.mark.usefixtures("h264")
@pytest.mark.parametrize("other", ["browser", "official"])
async def test_h264(stage: EncryptedStage, peer_mode: PeerMode, other: ClientKind) -> None:
    if (other == "browser") != (peer_mode == "single"):
        pytest.skip("each once")
    ours, theirs = await stage.join("ours", "ours"), await stage.join(other, "theirs")
    for client in (ours, theirs):
        await client.set_key(KEY)
    pictures = await ours.publish_coded(CRIMSON, "h264"), await theirs.publish_coded(TEAL, "h264")
    for client, sid in ((theirs, pictures[0]), (ours, pictures[1])):
        await client.events.wait("track_subscribed", sid=sid)
    await asyncio.gather(sees(theirs, pictures[0], CRIMSON), sees(ours, pictures[1], TEAL))
    for participant in (ours.room.local_participant, ours.room.remote_participants["theirs"]):
        mime_types = {each.mime_type.lower() for each in participant.track_publications.values()}
        assert mime_types == {"video/h264"}
