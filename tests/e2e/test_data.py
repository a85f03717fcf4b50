"""Data packets between participants: what arrives, in which order, and with whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .sdk import Sdk, meeting, until

pytestmark = pytest.mark.e2e


def received(events: Any, topic: str) -> list[bytes]:
    return [bytes(packet.data) for (packet,) in events.of("data_received") if packet.topic == topic]


async def test_reliable_in_order_both_ways(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (
        alice,
        alice_events,
        bob,
        bob_events,
    ):
        sent = [b"%06d" % number + bytes(94) for number in range(300)]
        for message in sent:
            await alice.local_participant.publish_data(message, topic="there")
        await until(lambda: len(received(bob_events, "there")) >= len(sent), "bob got everything")
        assert received(bob_events, "there") == sent
        for message in sent:
            await bob.local_participant.publish_data(message, topic="back")
        await until(lambda: len(received(alice_events, "back")) >= len(sent), "alice got everything")
        assert received(alice_events, "back") == sent
        (packet,) = bob_events.of("data_received")[0]
        assert packet.participant.identity == "alice"
        assert packet.kind == pair[1].rtc.DataPacketKind.KIND_RELIABLE
        # Nobody hears themselves.
        assert received(alice_events, "there") == []


async def test_lossy_topic_and_kind(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, _bob, bob_events):
        for number in range(20):
            await alice.local_participant.publish_data(b"%d" % number, reliable=False, topic="lossy")
            await asyncio.sleep(0.005)
        await bob_events.wait("data_received", lambda packet: bytes(packet.data) == b"19")
        packets = [packet for (packet,) in bob_events.of("data_received")]
        assert all(packet.topic == "lossy" for packet in packets)
        assert all(packet.kind == pair[1].rtc.DataPacketKind.KIND_LOSSY for packet in packets)
        numbers = [int(packet.data) for packet in packets]
        assert len(set(numbers)) == len(numbers)


async def test_text_payload_and_empty_topic(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, _bob, bob_events):
        await alice.local_participant.publish_data("grüße 🎉")
        (packet,) = await bob_events.wait("data_received")
        assert bytes(packet.data).decode() == "grüße 🎉"
        assert not packet.topic


async def test_targeted_reaches_its_target_alone(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, bob, bob_events):
        carol, carol_events = await pair[0].join(livekit_server.url, livekit_token("carol"), single=single)
        try:
            await until(lambda: "carol" in alice.remote_participants, "alice sees carol")
            await alice.local_participant.publish_data(b"for bob", destination_identities=["bob"])
            await alice.local_participant.publish_data(b"for carol", destination_identities=["carol"])
            await alice.local_participant.publish_data(b"for all")
            await bob_events.wait("data_received", lambda packet: bytes(packet.data) == b"for all")
            await carol_events.wait("data_received", lambda packet: bytes(packet.data) == b"for all")
            assert received(bob_events, bob_events.of("data_received")[0][0].topic) == [b"for bob", b"for all"]
            assert received(carol_events, carol_events.of("data_received")[0][0].topic) == [b"for carol", b"for all"]
        finally:
            await carol.disconnect()


async def test_sizes(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, _bob, bob_events):
        payloads = [bytes(index % 251 for index in range(size)) for size in (0, 1, 15_000, 60_000)]
        for payload in payloads:
            await alice.local_participant.publish_data(payload, topic="size")
        await until(lambda: len(received(bob_events, "size")) == len(payloads), "bob got all sizes")
        assert received(bob_events, "size") == payloads


async def test_what_was_sent_before_leaving_arrives(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    if not pair[0].is_ours:
        pytest.skip("the official SDK leaves without waiting for what it sent")
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, _bob, bob_events):
        sent = [b"%03d" % number + bytes(10_000) for number in range(200)]
        for message in sent:
            await alice.local_participant.publish_data(message, topic="last")
        await alice.disconnect()
        await bob_events.wait("participant_disconnected")
        await until(lambda: len(received(bob_events, "last")) == len(sent), "bob got everything")
        assert received(bob_events, "last") == sent
