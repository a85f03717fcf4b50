"""A hostile peer of an association neither hangs the server, nor fills its memory, nor breaks it."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable

import pytest

pytest.importorskip("google_crc32c", reason="needs the extra [server]")
pytest.importorskip("pyee", reason="needs the extra [server]")

from aiolivekit.server import sctp_guard
from tests.soak.attacks import sctp_attacks, sctp_chunk, sctp_packet
from tests.unit.server.test_sctp import Link, straight


class Attack:
    """A link whose end "a" is attacked in the name of its end "b"."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.victim = link.ends["a"]
        self.state = self.victim._association
        peer = link.ends["b"]._association
        self.tag = peer._remote_verification_tag
        self.tsn = peer._local_tsn

    def send(self, *chunks: bytes) -> None:
        self.victim.receive(sctp_packet(self.tag, *chunks))

    def data(self, tsn: int, flags: int = 3, *, stream: int = 1, protocol: int = 53, payload: bytes = b"x") -> bytes:
        return sctp_chunk(0, flags, struct.pack("!LHHL", tsn & 0xFFFFFFFF, stream, 0, protocol) + payload)

    @property
    def broken(self) -> bool:
        return self.victim._failed

    async def works(self) -> None:
        """Fail unless messages still arrive both ways."""
        for name, other in ("ab", "ba"):
            count = len(self.link.received[other])
            assert self.link.ends[name].send("_reliable", b"still here")
            await self.link.until(lambda count=count, other=other: len(self.link.received[other]) > count)


@pytest.fixture
async def attack() -> AsyncIterator[Attack]:
    link = Link(straight)
    await link.start()
    yield Attack(link)
    link.close()


@pytest.mark.parametrize("kind", [4, 5, 6, 9, 130])
async def test_a_parameter_of_length_zero(attack: Attack, kind: int) -> None:
    attack.send(sctp_chunk(kind, 0, struct.pack("!HH", 1, 0) * 4))
    attack.send(sctp_chunk(kind, 0, struct.pack("!HHL", 1, 2, 0)))
    await attack.works()


async def test_a_parameter_of_length_zero_behind_data(attack: Attack) -> None:
    attack.send(attack.data(attack.tsn - 1), sctp_chunk(4, 0, struct.pack("!HH", 1, 0)))
    await attack.works()


@pytest.mark.parametrize(
    "sack",
    [
        pytest.param(lambda a: (a.state._local_tsn + 5, [], 0), id="of what was never sent"),
        pytest.param(lambda a: (a.state._local_tsn - 1, [(1, 65535)] * 250, 0), id="of everything, again and again"),
        pytest.param(lambda a: (a.state._local_tsn - 1, [(9, 3)], 0), id="backwards"),
        pytest.param(lambda a: (a.state._local_tsn - 1, [], 60_000), id="longer than the packet"),
    ],
)
async def test_acknowledgements_that_cannot_be(
    attack: Attack, sack: Callable[[Attack], tuple[int, list[tuple[int, int]], int]]
) -> None:
    cumulative, gaps, extra = sack(attack)
    body = struct.pack("!LLHH", cumulative & 0xFFFFFFFF, 1 << 20, len(gaps) + extra, 0)
    attack.send(sctp_chunk(3, 0, body + b"".join(struct.pack("!HH", *gap) for gap in gaps)))
    await attack.works()


async def test_data_far_ahead_is_not_kept(attack: Attack) -> None:
    for number in range(sctp_guard.MAX_AHEAD):
        attack.send(attack.data(attack.tsn + 1 + 2 * number, flags=0))
    assert len(attack.state._sack_misordered) == sctp_guard.MAX_AHEAD // 2
    assert sum(len(s.reassembly) for s in attack.state._inbound_streams.values()) == sctp_guard.MAX_AHEAD // 2
    assert not attack.broken


async def test_data_beyond_the_window_is_not_kept(attack: Attack) -> None:
    for number in range(2500):
        attack.send(attack.data(attack.tsn + 1 + number, flags=0, payload=bytes(1100)))
    kept = sum(len(c.user_data) for s in attack.state._inbound_streams.values() for c in s.reassembly)
    assert 1024 * 1024 < kept <= 2 * 1024 * 1024 + 1100
    assert not attack.broken


async def test_messages_without_an_end(attack: Attack) -> None:
    sent = 0
    while not attack.broken:
        attack.send(attack.data(attack.tsn + sent, flags=2 if sent == 0 else 0))
        sent += 1
        assert sent < 2 * sctp_guard.MAX_FRAGMENTS
    assert sent > sctp_guard.MAX_FRAGMENTS


async def test_repeated_data_is_not_remembered(attack: Attack) -> None:
    for _ in range(5000):
        attack.send(attack.data(attack.tsn - 1))
    assert not attack.state._sack_duplicates
    await attack.works()


async def test_more_channels_than_anyone_needs(attack: Attack) -> None:
    for number in range(sctp_guard.MAX_CHANNELS + 1):
        opening = struct.pack("!BBHLHH", 3, 0, 0, 0, 1, 0) + b"n"
        attack.send(attack.data(attack.tsn + number, stream=11 + 2 * number, protocol=50, payload=opening))
    assert attack.broken
    assert len(attack.state._data_channels) <= sctp_guard.MAX_CHANNELS


async def test_streams_that_were_not_agreed_on(attack: Attack) -> None:
    attack.send(attack.data(attack.tsn, stream=60_000))
    assert attack.broken


async def test_noise_in_form_raises_nothing() -> None:
    rng = random.Random(2)
    for _ in range(60):
        link = Link(straight)
        await link.start()
        attack = Attack(link)
        for number in range(30):
            attack.send(*rng.choices(sctp_attacks(rng, attack.tsn + number // 6), k=2))
            await asyncio.sleep(0)
        link.close()
