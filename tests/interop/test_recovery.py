"""After a loss: the same session goes on, or a new one stands in for it."""

from __future__ import annotations

import asyncio

import pytest

from .capabilities import ClientKind
from .client import Client, eventually
from .conftest import Stage
from .test_media import CRIMSON, TEAL, hears, sees

pytestmark = pytest.mark.peer


async def call(stage: Stage, kind: ClientKind) -> tuple[Client, Client, tuple[str, str], tuple[str, str]]:
    """Two who hear and see each other; with the sids of her and of his tracks."""
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    hers = await alice.publish_tone(500), await alice.publish_picture(CRIMSON)
    his = await bob.publish_tone(800), await bob.publish_picture(TEAL)
    await hear_and_see_each_other(alice, bob, hers, his)
    return alice, bob, hers, his


async def hear_and_see_each_other(
    alice: Client, bob: Client, hers: tuple[str, str], his: tuple[str, str], since: tuple[int, int] = (0, 0)
) -> None:
    for client, sids, mark in ((bob, hers, since[1]), (alice, his, since[0])):
        for sid in sids:
            await client.events.wait("track_subscribed", sid=sid, since=mark)
    await asyncio.gather(
        hears(bob, hers[0], 500), sees(bob, hers[1], CRIMSON), hears(alice, his[0], 800), sees(alice, his[1], TEAL)
    )


async def test_resume(stage: Stage, kind: ClientKind) -> None:
    alice, bob, hers, his = await call(stage, kind)
    sid = (await alice.me()).sid
    marks = alice.events.mark, bob.events.mark
    sent = [b"%03d" % number for number in range(60)]

    async def send(sender: Client) -> None:
        for payload in sent:
            await sender.send_data(payload, topic="across")
            await asyncio.sleep(0.01)

    # livekit-client sends what it held back during a resume only if the server had something of it before: it takes
    # the number 0 (`ReconnectResponse.last_message_seq`) for no word at all.
    for sender, receiver in ((alice, bob), (bob, alice)):
        await sender.send_data(b"before", topic="before")
        await receiver.events.wait("data_received", topic="before")
    # What is sent meanwhile arrives: once, in order.
    sending = asyncio.gather(send(alice), send(bob))
    await alice.simulate("resume")
    await alice.events.wait("reconnecting", since=marks[0])
    await alice.events.wait("reconnected", since=marks[0])
    await sending
    for client in (alice, bob):
        await client.events.wait("data_received", topic="across", data=sent[-1])
        assert [each["data"] for each in client.events.of("data_received", topic="across")] == sent
    # It is the same participant with the same tracks, and bob noticed nothing.
    assert (await alice.me()).sid == sid
    assert set((await alice.me()).tracks) == set(hers)
    await asyncio.gather(
        hears(bob, hers[0], 500), sees(bob, hers[1], CRIMSON), hears(alice, his[0], 800), sees(alice, his[1], TEAL)
    )
    for name in ("participant_disconnected", "track_unpublished", "track_unsubscribed"):
        assert bob.events.of(name, since=marks[1]) == []
        assert alice.events.of(name, since=marks[0]) == []
    # A track published afterwards finds its way too.
    await alice.unpublish(hers[0])
    again = await alice.publish_tone(650)
    await bob.events.wait("track_subscribed", sid=again)
    await hears(bob, again, 650)


async def test_restart(stage: Stage, kind: ClientKind) -> None:
    alice, bob, hers, his = await call(stage, kind)
    sid = (await alice.me()).sid
    marks = alice.events.mark, bob.events.mark
    await alice.simulate("restart")
    await alice.events.wait("reconnecting", since=marks[0])
    await alice.events.wait("reconnected", since=marks[0])
    # A new participant of the same identity, with her tracks published anew.
    await bob.events.wait("participant_disconnected", identity="alice", sid=sid, since=marks[1])
    new = await bob.events.wait("participant_connected", identity="alice", since=marks[1])
    assert new["sid"] != sid
    sound = await bob.events.wait("track_subscribed", identity="alice", kind="audio", since=marks[1])
    picture = await bob.events.wait("track_subscribed", identity="alice", kind="video", since=marks[1])
    renewed = (sound["sid"], picture["sid"])
    assert set(renewed).isdisjoint(hers)
    await hear_and_see_each_other(alice, bob, renewed, his, marks)
    assert await stage.there() == ["alice", "bob"]

    async def arrived() -> bool:
        # livekit-client keeps what is sent up to two seconds after its `reconnected` for a resume that never comes.
        await alice.send_data(b"still here", topic="after")
        return bool(bob.events.of("data_received", identity="alice", topic="after"))

    await eventually(arrived, "data after the restart")
