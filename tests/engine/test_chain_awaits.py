"""A resume and a restart, each stopped or failed at every one of its awaits, on an embedded server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from livekit.protocol import models

from aiolivekit.engine.events import Disconnected, Restarted, Restarting, Resumed, Resuming
from aiolivekit.enums import DisconnectReason
from aiolivekit.errors import UnreachableError
from aiolivekit.session.events import DataReceived
from aiolivekit.testing import EmbeddedServer

from ..leaks import no_leaks
from ..unit.engine.scripted import FATAL, RESTART
from .visits import Visit

Reason = DisconnectReason


async def lose(server: EmbeddedServer, chain: str) -> None:
    if chain == "resume":
        server.faults.close_signal("alice", abrupt=True)
    else:
        server.faults.leave("alice", "RECONNECT")


async def hears(bob: Visit, alice: Visit, word: bytes) -> None:
    await alice.engine.publish_data(models.DataPacket(user=models.UserPacket(payload=word)))
    await bob.until(lambda: any(each.payload == word for each in bob.of(DataReceived)))


def once(visit: Visit) -> None:
    """One announcement for each mode."""
    assert len(visit.of(Resuming)) <= 1
    assert len(visit.of(Restarting)) <= 1


Check = Callable[[Visit, Visit, int], Awaitable[None]]


async def ended(visit: Visit, _bob: Visit, _n: int, reason: Reason) -> None:
    await visit.until(lambda: bool(visit.of(Disconnected)))
    assert [event.reason for event in visit.of(Disconnected)] == [reason]
    assert visit.told[-1] is visit.of(Disconnected)[0]
    assert not visit.of(Resumed, Restarted)
    once(visit)


async def came_back(visit: Visit, bob: Visit, n: int) -> None:
    await visit.until(lambda: bool(visit.of(Resumed, Restarted, Disconnected)))
    assert not visit.of(Disconnected)
    assert len(visit.of(Resumed, Restarted)) == 1
    once(visit)
    await hears(bob, visit, b"%d" % n)


async def every_await(
    server: EmbeddedServer,
    single: bool,
    chain: str,
    act: Callable[[Visit], object],
    check: Check,
    *,
    step: int = 1,
    fewest: int = 5,
) -> None:
    async with no_leaks():
        bob = await Visit.join(server, "bob", single)
        n = 1
        while True:
            alice = await Visit.join(server, "alice", single)
            await hears(bob, alice, b"before %d" % n)
            watches = alice.stop_at(chain, n, lambda alice=alice: act(alice))
            await lose(server, chain)
            await alice.until(lambda watches=watches, alice=alice: bool(watches) or bool(alice.of(Disconnected)))
            await alice.until(lambda alice=alice: bool(alice.of(Resumed, Restarted, Disconnected)))
            if watches[0].suspensions < n:
                # It got through.
                await came_back(alice, bob, n)
                await alice.engine.close()
                break
            await check(alice, bob, n)
            await alice.engine.close()
            assert alice.told[-1] is alice.of(Disconnected)[-1]
            assert len(alice.of(Disconnected)) == 1
            n += step
        assert n > fewest
        await bob.engine.close()


CHAINS = ["resume", "restart"]


@pytest.mark.parametrize("chain", CHAINS)
async def test_closed_at_every_await(dev_server: EmbeddedServer, single: bool, chain: str) -> None:
    closing: set[asyncio.Future[None]] = set()

    async def check(visit: Visit, bob: Visit, n: int) -> None:
        await ended(visit, bob, n, Reason.CLIENT_INITIATED)
        await asyncio.wait(closing)
        closing.clear()

    def act(visit: Visit) -> None:
        closing.add(asyncio.ensure_future(visit.engine.close()))

    await every_await(dev_server, single, chain, act, check)


@pytest.mark.parametrize("chain", CHAINS)
async def test_sent_away_at_every_await(dev_server: EmbeddedServer, single: bool, chain: str) -> None:
    async def check(visit: Visit, bob: Visit, n: int) -> None:
        await ended(visit, bob, n, Reason.PARTICIPANT_REMOVED)

    await every_await(dev_server, single, chain, lambda visit: visit.engine._sessions.recovery.lost(FATAL), check)


async def test_a_restart_asked_for_at_every_await_of_a_resume(dev_server: EmbeddedServer, single: bool) -> None:
    async def check(visit: Visit, bob: Visit, n: int) -> None:
        await came_back(visit, bob, n)
        assert visit.of(Restarted)

    await every_await(dev_server, single, "resume", lambda visit: visit.engine._sessions.recovery.lost(RESTART), check)


@pytest.mark.parametrize("error", [UnreachableError("x"), ValueError("x")], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("chain", CHAINS)
async def test_failed_at_every_await(dev_server: EmbeddedServer, single: bool, chain: str, error: Exception) -> None:
    def act(_visit: Visit) -> None:
        raise type(error)("x")

    await every_await(dev_server, single, chain, act, came_back)


@pytest.mark.parametrize("chain", CHAINS)
async def test_cut_at_every_await(dev_server: EmbeddedServer, single: bool, chain: str) -> None:
    """The link that is in force at that moment is lost, whichever it is."""

    def act(visit: Visit) -> None:
        if "alice" in dev_server.room().participants:
            dev_server.faults.close_signal("alice", abrupt=True)

    async def check(visit: Visit, bob: Visit, n: int) -> None:
        await visit.until(lambda: bool(visit.of(Resumed, Restarted, Disconnected)))
        assert not visit.of(Disconnected)
        await hears(bob, visit, b"%d" % n)

    await every_await(dev_server, single, chain, act, check)
