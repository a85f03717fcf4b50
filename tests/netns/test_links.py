"""What a client makes of a network that loses packets, goes away, or gives it another address.

Each network fault strikes pairs at the real and at the dev server, with one peer connection and with two, at once: most
of the time is waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .network import Network
from .scene import Pair, Servers, pairs

_MESSAGES = 1000
_PAUSE = 0.005
_LOST = ("signal", "publisher", "subscriber", "leave")
"""What may be noticed first: it is signalling, unless the machine is slow. No other word stands for a dead network."""
_BACK = 40.0
"""Seconds until a recovery must have been reported; generous, it takes a few."""


async def each(made: list[Pair], do: Callable[[Pair], Awaitable[Any]]) -> None:
    await asyncio.gather(*(do(pair) for pair in made))


async def check_messages(pair: Pair, first: int = 0, count: int = _MESSAGES) -> None:
    """Check that all have come, in order and once."""
    await pair.sent()
    last = first + count - 1
    for who, heard in zip(
        ("alice", "bob"), await asyncio.gather(pair.alice.hear(last), pair.bob.hear(last)), strict=True
    ):
        numbers = [number for number in heard if number >= first]
        missing = sorted(set(range(first, last + 1)) - set(numbers))
        assert not missing, f"{pair.name}: {who} misses {len(missing)}, the first is {missing[0]}"
        assert numbers == list(range(first, last + 1)), f"{pair.name}: {who}: twice or out of order"


async def check_views(pair: Pair) -> None:
    """Check that both see the same participants and tracks, and that no message came late."""
    alice, bob = await asyncio.gather(pair.alice.look(), pair.bob.look())
    assert alice["state"] == bob["state"] == "CONN_CONNECTED"
    assert alice["view"] == bob["view"], pair.name
    assert alice["unasked"] == bob["unasked"] == [], f"{pair.name}: messages behind the last one"
    # His network was well; on a machine that is busy a server may still have missed him.
    reports = await pair.bob.reported(0)
    assert all(report["modes"] == ["resume"] for report in reports), (pair.name, reports)


async def test_every_tenth_packet_lost(link: Network, behind: Servers) -> None:
    async with pairs(behind, link, "loss") as made:
        link.loss(every_nth=10)
        await each(made, lambda pair: pair.send(0, _MESSAGES, _PAUSE))
        await each(made, check_messages)
        # While packets are still lost.
        await each(made, Pair.check_tones)
        lost = link.lost()
        assert lost["in"] > _MESSAGES / 10, lost
        assert lost["out"] > _MESSAGES / 10, lost
        await each(made, check_views)


async def test_link_down_for_three_seconds(link: Network, behind: Servers) -> None:
    async def check(pair: Pair) -> None:
        await check_messages(pair)
        # Neither ICE nor signalling gives up so soon; where the machine was slow, it was a resume.
        reports = await pair.alice.reported(0)
        assert all(report["succeeded"] and report["modes"] == ["resume"] for report in reports), (pair.name, reports)
        assert (await pair.alice.look())["undelivered"] == 0
        await pair.check_tones()
        await check_views(pair)

    async with pairs(behind, link, "blink") as made:
        await each(made, lambda pair: pair.send(0, _MESSAGES, _PAUSE))
        link.link_down()
        await asyncio.sleep(3)
        link.link_up()
        await each(made, check)


async def test_link_down_until_ice_has_failed(link: Network, behind: Servers) -> None:
    async def check(pair: Pair) -> None:
        (report,) = await pair.alice.reported(1, _BACK)
        assert report["succeeded"], pair.name
        # A failed media path cannot be resumed without a word of the server: joined anew.
        assert report["source"] in _LOST, (pair.name, report)
        assert report["modes"] == ["resume", "restart"], (pair.name, report)
        assert (await pair.alice.look())["events"] == ["reconnecting", "reconnected"]
        await pair.check_tones()
        await pair.send(_MESSAGES, 50, 0.0)
        await check_messages(pair, _MESSAGES, 50)
        await check_views(pair)

    async with pairs(behind, link, "outage") as made:
        link.link_down()
        await asyncio.gather(*(pair.alice.failed() for pair in made))
        link.link_up()
        await each(made, check)


async def test_another_address(link: Network, behind: Servers) -> None:
    async def check(pair: Pair) -> None:
        (report,) = await pair.alice.reported(1, _BACK)
        assert report["succeeded"], pair.name
        assert report["source"] in _LOST, (pair.name, report)
        assert report["modes"] == ["resume"], (pair.name, report)
        await check_messages(pair)
        assert (await pair.alice.look())["undelivered"] == 0
        await pair.check_tones()
        await check_views(pair)

    async with pairs(behind, link, "move") as made:
        await each(made, lambda pair: pair.send(0, _MESSAGES, _PAUSE))
        link.change_address()
        await each(made, check)
