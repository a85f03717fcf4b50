"""What takes long between the clients: streams up to 50 MB, and a hundred at once. `make interop` runs it."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable

import pytest

from .capabilities import ClientKind, does
from .client import Client, repeated
from .conftest import Stage
from .events import LARGE_DEADLINE
from .sdk_client import SdkClient

pytestmark = pytest.mark.peer

TOPIC = "heavy"
BLOCKS = {
    "noise": random.Random(11).randbytes(65_536),
    "text": ("one note after another 🎉 " * 2_340)[:65_000].encode()[:65_536],
}
"""What can be compressed, and what cannot."""
SIZES = (0, 1, 14_999, 15_000, 15_001, 1_000_000, 50_000_000)
PAIRS: tuple[tuple[ClientKind, ClientKind], ...] = (
    ("ours", "ours"),
    ("ours", "official"),
    ("official", "ours"),
    ("ours", "browser"),
    ("browser", "ours"),
)


@pytest.fixture(params=PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def pair(request: pytest.FixtureRequest, stage: Stage) -> tuple[Client, Client, SdkClient]:
    """Who sends, who receives, and one of ours for whom it is not."""
    first, second = request.param
    sender, receiver = await stage.join(first, "sender"), await stage.join(second, "receiver")
    bystander = await stage.join("ours", "bystander")
    clients = (sender, receiver, bystander)
    await stage.acquaint(*clients)
    for client in clients:
        await client.receive_digests(TOPIC)
    assert isinstance(bystander, SdkClient)
    return sender, receiver, bystander


async def got_nothing(sender: Client, bystander: SdkClient) -> None:
    await sender.send_text("for all", topic=TOPIC)
    await bystander.events.wait("digest_received", kind="text", within=LARGE_DEADLINE)
    assert len(bystander.events.of("digest_received")) == 1
    if does(sender.kind, "targets all of a stream"):  # type: ignore[arg-type]
        # Not even a packet.
        assert bystander.room._visit.streams.receiver.table.stray == 0


@pytest.mark.parametrize("content", list(BLOCKS))
async def test_sizes(
    pair: tuple[Client, Client, SdkClient], content: str, record_property: Callable[[str, object], None]
) -> None:
    sender, receiver, bystander = pair
    for size in SIZES:
        began = time.perf_counter()
        stream = await sender.send_repeated(BLOCKS[content], size, topic=TOPIC, to=["receiver"])
        got = await receiver.events.wait("digest_received", id=stream, within=LARGE_DEADLINE)
        took = time.perf_counter() - began
        expected = hashlib.sha256(repeated(BLOCKS[content], size)).hexdigest()
        assert (got["identity"], got["size"], got["sha256"]) == ("sender", size, expected)
        if size >= 1_000_000:
            record_property(f"{content}, {size // 1_000_000} MB", f"{size / 1e6 / took:.1f} MB/s")
    assert len(receiver.events.of("digest_received")) == len(SIZES)
    await got_nothing(sender, bystander)


async def test_a_hundred_at_once(
    pair: tuple[Client, Client, SdkClient], record_property: Callable[[str, object], None]
) -> None:
    sender, receiver, bystander = pair
    began = time.perf_counter()
    streams = await asyncio.gather(
        *(
            sender.send_repeated(BLOCKS["text" if n % 2 else "noise"], n * 1_000, topic=TOPIC, to=["receiver"])
            for n in range(100)
        )
    )
    expected = {
        stream: hashlib.sha256(repeated(BLOCKS["text" if n % 2 else "noise"], n * 1_000)).hexdigest()
        for n, stream in enumerate(streams)
    }
    await receiver.events.wait("digest_received", count=100, within=LARGE_DEADLINE)
    record_property("a hundred at once, 5 MB in all", f"{time.perf_counter() - began:.1f} s")
    assert {each["id"]: each["sha256"] for each in receiver.events.of("digest_received")} == expected
    assert len(receiver.events.of("digest_received")) == 100
    await got_nothing(sender, bystander)
