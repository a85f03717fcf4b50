"""The driver of negotiation: real peers on both sides, the signalling between them in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit.protocol import rtc

from aiolivekit._tasks import TaskScope
from aiolivekit.core import negotiation
from aiolivekit.errors import NegotiationError
from aiolivekit.peer.connection import PeerConnection
from aiolivekit.session.negotiator import Negotiator

from ..peer.pair import RecordingSink


class Table:
    """A publisher with its negotiator, and the peer that answers."""

    def __init__(self, fast: bool) -> None:
        self.publisher = PeerConnection("publisher", RecordingSink())
        self.server = PeerConnection("server", RecordingSink())
        self.offers: asyncio.Queue[rtc.SessionDescription] = asyncio.Queue()
        self.applied: list[int] = []
        self.failures: list[NegotiationError] = []
        self.scope = TaskScope(lambda *_: None)
        self.negotiator = Negotiator(
            self.publisher,
            self.scope,
            edit_offer=lambda sdp: sdp,
            edit_answer=lambda sdp: sdp,
            post=lambda request: self.offers.put_nowait(request.offer),
            on_answer=lambda answer: self.applied.append(answer.id),
            on_failure=self.failures.append,
            fast=fast,
        )
        self.publisher.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=0)

    async def answer(self, offer: rtc.SessionDescription, *, answer_id: int | None = None) -> rtc.SessionDescription:
        await self.server.set_offer(offer.sdp)
        sdp = await self.server.create_answer()
        await self.server.set_local_answer(sdp)
        return rtc.SessionDescription(type="answer", sdp=sdp, id=offer.id if answer_id is None else answer_id)

    async def offer(self) -> rtc.SessionDescription:
        async with asyncio.timeout(5):
            return await self.offers.get()


@asynccontextmanager
async def table(*, fast: bool = True) -> AsyncIterator[Table]:
    made = Table(fast)
    try:
        yield made
    finally:
        made.negotiator.close(NegotiationError("over"))
        await made.scope.aclose()
        made.publisher.close()
        made.server.close()


@pytest.mark.parametrize("fast", [True, False])
async def test_a_request_is_settled_by_the_answer_that_covers_it(fast: bool) -> None:
    async with table(fast=fast) as at:
        first = at.negotiator.request()
        offer = await at.offer()
        second = at.negotiator.request()
        waiting = [asyncio.create_task(at.negotiator.wait(ticket)) for ticket in (first, second)]
        at.negotiator.on_answer(await at.answer(offer))
        next_offer = await at.offer()
        await waiting[0]
        assert not waiting[1].done()
        at.negotiator.on_answer(await at.answer(next_offer))
        async with asyncio.timeout(5):
            await waiting[1]
        assert at.applied == [offer.id, next_offer.id]
        await at.negotiator.wait(first)


async def test_stale_answers_are_counted_and_ignored() -> None:
    async with table() as at:
        ticket = at.negotiator.request()
        offer = await at.offer()
        good = await at.answer(offer)
        at.negotiator.on_answer(rtc.SessionDescription(type="answer", sdp=good.sdp, id=99))
        at.negotiator.on_answer(good)
        at.negotiator.on_answer(good)
        async with asyncio.timeout(5):
            await at.negotiator.wait(ticket)
            while at.negotiator.stale_answers < 2:
                await asyncio.sleep(0)
        assert at.applied == [offer.id]
        assert at.failures == []


async def test_servers_before_offer_ids_answer_with_zero() -> None:
    async with table() as at:
        ticket = at.negotiator.request()
        at.negotiator.on_answer(await at.answer(await at.offer(), answer_id=0))
        async with asyncio.timeout(5):
            await at.negotiator.wait(ticket)


async def test_an_answer_that_cannot_be_applied_ends_negotiation() -> None:
    async with table() as at:
        ticket = at.negotiator.request()
        offer = await at.offer()
        at.negotiator.on_answer(rtc.SessionDescription(type="answer", sdp="garbage", id=offer.id))
        with pytest.raises(NegotiationError):
            async with asyncio.timeout(5):
                await at.negotiator.wait(ticket)
        assert len(at.failures) == 1
        with pytest.raises(NegotiationError):
            await at.negotiator.wait(at.negotiator.request())


async def test_no_answer_ends_negotiation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "ANSWER_TIMEOUT", 0.05)
    async with table() as at:
        ticket = at.negotiator.request()
        await at.offer()
        with pytest.raises(NegotiationError, match="in time"):
            async with asyncio.timeout(5):
                await at.negotiator.wait(ticket)
        assert len(at.failures) == 1


async def test_no_answer_is_a_failure_though_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "ANSWER_TIMEOUT", 0.05)
    async with table() as at:
        at.negotiator.request()
        await at.offer()
        async with asyncio.timeout(5):
            while not at.failures:
                await asyncio.sleep(0.01)
        assert len(at.failures) == 1


async def test_an_adopted_offer_is_ours() -> None:
    async with table() as at:
        sdp = await at.publisher.create_offer()
        ticket = at.negotiator.adopt(sdp)
        answer = await at.answer(rtc.SessionDescription(type="offer", sdp=sdp, id=1))
        at.negotiator.on_answer(answer)
        async with asyncio.timeout(5):
            await at.negotiator.wait(ticket)
        assert at.offers.empty()


async def test_closing_ends_every_wait() -> None:
    async with table() as at:
        waiting = asyncio.create_task(at.negotiator.wait(at.negotiator.request()))
        await at.offer()
        at.negotiator.close(NegotiationError("closed"))
        with pytest.raises(NegotiationError, match="closed"):
            await waiting
        assert at.failures == []


async def test_a_cancelled_wait_is_forgotten() -> None:
    async with table() as at:
        waiting = asyncio.create_task(at.negotiator.wait(at.negotiator.request()))
        offer = await at.offer()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert at.negotiator._waiters == []
        at.negotiator.on_answer(await at.answer(offer))
        async with asyncio.timeout(5):
            await at.negotiator.wait(1)
