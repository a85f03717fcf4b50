"""Data channels between two of our own ends, over links that lose, repeat and reorder."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

pytest.importorskip("google_crc32c", reason="needs the extra [server]")
pytest.importorskip("pyee", reason="needs the extra [server]")

from aiolivekit.server.sctp import DataChannels


class Link:
    """Two ends and the packets between them."""

    def __init__(self, mangle: Callable[[bytes], list[tuple[float, bytes]]]) -> None:
        self.mangle = mangle
        self.received: dict[str, list[tuple[str, bytes]]] = {"a": [], "b": []}
        self.opened: dict[str, set[str]] = {"a": set(), "b": set()}
        self.changed = asyncio.Event()
        self.lost: list[str] = []
        self.ends = {name: self._end(name) for name in "ab"}

    def _end(self, name: str) -> DataChannels:
        other = "b" if name == "a" else "a"

        def send(packet: bytes) -> None:
            for delay, data in self.mangle(packet):
                asyncio.get_running_loop().call_later(delay, lambda data=data: self.ends[other].receive(data))

        def message(label: str, data: bytes) -> None:
            self.received[name].append((label, data))
            self.changed.set()

        def opened(label: str) -> None:
            self.opened[name].add(label)
            self.changed.set()

        return DataChannels(
            send,
            server=name == "a",
            on_message=message,
            on_open=opened,
            on_lost=lambda: self.lost.append(name),
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def start(self) -> None:
        self.ends["a"].create("_reliable", ordered=True, max_retransmits=None)
        self.ends["a"].create("_lossy", ordered=False, max_retransmits=0)
        for end in self.ends.values():
            end.start(5000, 65535)
        await self.until(lambda: all(self.opened[n] == {"_reliable", "_lossy"} for n in "ab"))

    def close(self) -> None:
        for end in self.ends.values():
            end.close()


def straight(packet: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, packet)]


def rough(seed: int) -> Callable[[bytes], list[tuple[float, bytes]]]:
    rng = random.Random(seed)

    def mangle(packet: bytes) -> list[tuple[float, bytes]]:
        if rng.random() < 0.05:
            return []
        copies = 2 if rng.random() < 0.05 else 1
        return [(rng.choice((0.0, 0.0, 0.001, 0.004)), packet) for _ in range(copies)]

    return mangle


@pytest.fixture
async def links() -> AsyncIterator[list[Link]]:
    made: list[Link] = []
    yield made
    for link in made:
        link.close()


async def test_messages_of_all_sizes_both_ways(links: list[Link]) -> None:
    link = Link(straight)
    links.append(link)
    await link.start()
    messages = [bytes([n % 256]) * size for n, size in enumerate((1, 1160, 1161, 5000, 65535, 3) * 5)]
    for name in "ab":
        for message in messages:
            assert link.ends[name].send("_reliable", message)
    await link.until(lambda: all(len(link.received[n]) == len(messages) for n in "ab"))
    for name in "ab":
        assert [data for _, data in link.received[name]] == messages
        assert {label for label, _ in link.received[name]} == {"_reliable"}


@pytest.mark.parametrize("seed", range(4))
async def test_reliable_messages_survive_a_rough_link(links: list[Link], seed: int) -> None:
    link = Link(rough(seed))
    links.append(link)
    await link.start()
    messages = [b"%d " % n * (1 + n * 37 % 900) for n in range(400)]
    for number, message in enumerate(messages):
        link.ends["a"].send("_reliable", message)
        if number % 20 == 0:
            await asyncio.sleep(0)
    await link.until(lambda: len(link.received["b"]) >= len(messages))
    assert [data for _, data in link.received["b"]] == messages


async def test_lossy_messages_are_not_sent_again_and_never_twice(links: list[Link]) -> None:
    link = Link(straight)
    links.append(link)
    await link.start()
    drop = iter(range(10_000))
    link.mangle = lambda packet: [] if next(drop) % 10 == 9 else [(0.0, packet)]
    for number in range(300):
        link.ends["a"].send("_lossy", b"%d" % number + b"x" * 1000)
        await asyncio.sleep(0)
    link.mangle = straight
    link.ends["a"].send("_reliable", b"end")
    await link.until(lambda: ("_reliable", b"end") in link.received["b"])
    got = [data for label, data in link.received["b"] if label == "_lossy"]
    assert len(set(got)) == len(got)
    assert 200 < len(got) < 300


async def test_too_large_and_too_early_messages_are_dropped(links: list[Link]) -> None:
    link = Link(straight)
    links.append(link)
    assert not link.ends["b"].send("_reliable", b"early")
    await link.start()
    assert not link.ends["a"].send("_reliable", b"x" * 65536)
    assert not link.ends["a"].send("unknown", b"x")
    assert link.ends["a"].dropped == 2


async def test_a_closed_end_closes_the_other(links: list[Link]) -> None:
    link = Link(straight)
    links.append(link)
    await link.start()
    link.ends["a"].close()
    await asyncio.sleep(0.01)
    assert link.lost == ["b"]


async def test_a_paused_reader_loses_nothing_reliable(links: list[Link]) -> None:
    link = Link(straight)
    links.append(link)
    await link.start()
    link.ends["b"].paused = True
    for number in range(100):
        link.ends["a"].send("_reliable", b"%d" % number)
    await asyncio.sleep(0.05)
    assert link.received["b"] == []
    link.ends["b"].resume()
    await link.until(lambda: len(link.received["b"]) == 100)
    assert [data for _, data in link.received["b"]] == [b"%d" % n for n in range(100)]
