"""Data packets, streams and RPC."""

from __future__ import annotations

import random
from typing import cast

import pytest

from .capabilities import ClientKind, does, require
from .client import Client, RpcFailedError
from .conftest import Stage, api
from .sdk_client import SdkClient

pytestmark = pytest.mark.peer

RPC_UNSUPPORTED_METHOD = 1400
RPC_RECIPIENT_NOT_FOUND = 1401


def received(client: Client, topic: str) -> list[bytes]:
    return [each["data"] for each in client.events.of("data_received", topic=topic)]


async def test_packets(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    await stage.acquaint(alice, bob)
    # In order, whole, once, and to everybody but the sender.
    sent = [b"%03d" % number + bytes(number * 100) for number in range(50)]
    for sender, other in ((alice, bob), (bob, alice)):
        for payload in sent:
            await sender.send_data(payload, topic=f"from {sender.identity}")
        await other.events.wait("data_received", identity=sender.identity, data=sent[-1])
        assert received(other, f"from {sender.identity}") == sent
        assert received(sender, f"from {sender.identity}") == []
        assert other.events.of("data_received", reliable=False) == []
        await sender.send_data(b"maybe", reliable=False, topic="lossy")
        packet = await other.events.wait("data_received", topic="lossy")
        assert (packet["identity"], packet["data"], packet["reliable"]) == (sender.identity, b"maybe", False)


async def test_packets_for_some(stage: Stage, kind: ClientKind) -> None:
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    carol = await stage.join(kind, "carol")
    clients = (alice, bob, carol)
    await stage.acquaint(*clients)
    for sender, target, third in ((alice, bob, carol), (bob, carol, alice)):
        for payload, to in (
            (b"for one", [target.identity]),
            (b"for nobody", ["nobody"]),
            (b"for both", [target.identity, third.identity]),
            (b"for all", []),
        ):
            await sender.send_data(payload, to=to, topic=sender.identity)
        for client in (target, third):
            await client.events.wait("data_received", identity=sender.identity, data=b"for all")
        assert received(target, sender.identity) == [b"for one", b"for both", b"for all"]
        assert received(third, sender.identity) == [b"for both", b"for all"]
        assert received(sender, sender.identity) == []
    # The server sends too, in nobody's name.
    for to, data in ((["alice"], b"for alice"), ([], b"for everybody")):
        await stage.api.send_data(
            api.SendDataRequest(
                room=stage.room,
                data=data,
                kind=api.DataPacket.Kind.RELIABLE,
                destination_identities=to,
                topic="server",
                nonce=bytes(range(16)) if not to else bytes(range(16, 32)),
            )
        )
    for client in clients:
        packet = await client.events.wait("data_received", topic="server", data=b"for everybody")
        assert packet["identity"] is None
        assert (b"for alice" in received(client, "server")) is (client is alice)


WIDTHS = "A\x7f é߿ ࠀ世�🎉\U0010ffff "
TEXTS = ["", "x", WIDTHS, WIDTHS * 4000, "one note after another. " * 4000]
NOISE = random.Random(5).randbytes(100_000)
BLOBS = [b"", b"\0", NOISE[:14_000], NOISE, bytes(300_000)]


async def test_streams(stage: Stage, kind: ClientKind) -> None:
    require(kind, "streams")
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    carol = await stage.join("ours", "carol")
    clients = (alice, bob, carol)
    # Senders look at what the others understand.
    await stage.acquaint(*clients)
    for client in clients:
        await client.receive_streams("notes")
    for sender, other, third in ((alice, bob, carol), (bob, carol, alice), (carol, alice, bob)):
        for number, text in enumerate(TEXTS):
            attributes = {"by": sender.identity, "number": str(number)}
            await sender.send_text(text, topic="notes", attributes=attributes)
            for client in (other, third):
                got = await client.events.wait("text_received", attributes=attributes)
                assert (got["identity"], got["text"]) == (sender.identity, text)
        for number, blob in enumerate(BLOBS):
            await sender.send_bytes(blob, topic="notes", name=f"{number}.bin", to=[other.identity])
            got = await other.events.wait("bytes_received", identity=sender.identity, stream_name=f"{number}.bin")
            assert got["data"] == blob
        await sender.send_text("last", topic="notes", attributes={"by": sender.identity, "number": "last"})
        for client in (other, third):
            await client.events.wait("text_received", attributes={"by": sender.identity, "number": "last"})
        assert third.events.of("bytes_received", identity=sender.identity) == []
        assert isinstance(carol, SdkClient)
        if third is carol and does(cast(ClientKind, sender.kind), "targets all of a stream"):
            # Not even a packet of them.
            assert carol.room._visit.streams.receiver.table.stray == 0
    for client in clients:
        assert len(client.events.of("text_received")) == 2 * (len(TEXTS) + 1)


async def test_chat(stage: Stage, kind: ClientKind) -> None:
    if not does(kind, "chats"):
        pytest.skip("it has no chat")
    alice = await stage.join(kind, "alice")
    bob = await stage.join("ours", "bob")
    await stage.acquaint(alice, bob)
    for sender, other in ((alice, bob), (bob, alice)):
        for text in ("hi", "grüße 🎉"):
            await sender.send_chat(text)
            await other.events.wait("chat_message_received", identity=sender.identity, text=text)
        heard = other.events.of("chat_message_received", identity=sender.identity)
        assert [each["text"] for each in heard] == ["hi", "grüße 🎉"]


async def test_rpc(stage: Stage, kind: ClientKind) -> None:
    require(kind, "rpc")
    alice = await stage.join(kind, "alice")
    bob = await stage.join("official", "bob")
    # Callers look first at what the other side understands.
    await stage.acquaint(alice, bob)
    for client in (alice, bob):
        await client.serve_rpc("say")
    for caller, callee in ((alice, bob), (bob, alice)):
        who = callee.identity
        assert await caller.perform_rpc(who, "say", "hello") == f"{caller.identity} said hello"
        long = "ä" * 7000
        assert await caller.perform_rpc(who, "say", long) == f"{caller.identity} said {long}"
        with pytest.raises(RpcFailedError) as raised:
            await caller.perform_rpc(who, "say", "fail")
        assert (raised.value.code, raised.value.message, raised.value.data) == (1234, "as asked", "details")
        with pytest.raises(RpcFailedError) as raised:
            await caller.perform_rpc(who, "sing", "hello")
        assert raised.value.code == RPC_UNSUPPORTED_METHOD
