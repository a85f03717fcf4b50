"""Carries out what `core.negotiation` decides for the publisher: makes offers, sends them, applies answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from livekit.protocol import rtc

from .._tasks import SerialRunner, TaskScope
from ..core.flight import SILENT, FlightTap, plain_words
from ..core.negotiation import MakeOffer, Negotiation, TimedOut
from ..errors import NegotiationError
from ..peer.connection import PeerConnection

__all__ = ["Negotiator"]

_logger = logging.getLogger("aiolivekit.session")


class Negotiator:
    """The publisher's offers and answers.

    Args:
        peer: The publisher.
        scope: Owns the task that does the work.
        edit_offer: Edits an offer before it becomes ours.
        edit_answer: Edits an answer before it is applied.
        post: Sends a signalling message.
        on_answer: Called after an answer has been applied, with the message.
        on_failure: Called once when negotiation is over for this session, with the cause.
        fast: Whether the server takes offers as fast as they come (`JoinResponse.fast_publish`).
        flight: Where it is written down what happens.
    """

    def __init__(
        self,
        peer: PeerConnection,
        scope: TaskScope,
        *,
        edit_offer: Callable[[str], str],
        edit_answer: Callable[[str], str],
        post: Callable[[rtc.SignalRequest], None],
        on_answer: Callable[[rtc.SessionDescription], None],
        on_failure: Callable[[NegotiationError], None],
        fast: bool,
        flight: FlightTap = SILENT,
    ) -> None:
        self._peer = peer
        self._flight = flight
        self._edit_offer = edit_offer
        self._edit_answer = edit_answer
        self._post = post
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._machine = Negotiation(fast=fast)
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._work = SerialRunner(scope, "publisher", self._work_failed)
        self._over = False
        self.stale_answers = 0

    def request(self, *, ice_restart: bool = False) -> int:
        """Ask for an offer; return the ticket `wait` takes."""
        ticket, effects = self._machine.request(self._loop.time(), ice_restart=ice_restart)
        self._perform(effects)
        return ticket

    async def wait(self, ticket: int) -> None:
        """Wait until the answer that covers a ticket has been applied.

        Raises:
            NegotiationError: If negotiation ends first.
        """
        if self._machine.settled >= ticket:
            return
        if self._machine.closed:
            raise NegotiationError("the session negotiates no more")
        waiter = self._loop.create_future()
        entry = (ticket, waiter)
        self._waiters.append(entry)
        try:
            await waiter
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)

    def adopt(self, sdp: str) -> int:
        """Take over an offer that went out inside the join request; return its ticket."""
        ticket = self._machine.adopt(self._loop.time())
        self._arm()
        self._work.submit(lambda: self._peer.set_local_offer(sdp))
        return ticket

    def suspend(self) -> None:
        """Make no offers until `resume`: the signalling link is lost."""
        self._machine.suspend()
        self._arm()

    def resume(self, *, ice_restart: bool) -> int:
        """Go on over a new link; return the ticket that covers everything asked for so far."""
        ticket, effects = self._machine.resume(self._loop.time(), ice_restart=ice_restart)
        self._perform(effects)
        return ticket

    def on_answer(self, answer: rtc.SessionDescription) -> None:
        """Apply the server's answer, unless it belongs to no offer that is out."""
        if not self._machine.accepts(answer.id):
            self._stale(answer)
            return
        self._work.submit(lambda: self._apply(answer))

    def add_candidate(self, candidate: str) -> None:
        """Add a remote candidate after the descriptions that came before it."""
        self._work.start(lambda: self._peer.add_remote_candidate(candidate))

    def close(self, error: Exception) -> None:
        """Negotiate no more; those who wait get `error`."""
        self._over = True
        self._machine.close()
        self._arm()
        waiters, self._waiters = self._waiters, []
        for _, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)

    async def _offer(self, effect: MakeOffer) -> None:
        self._machine.making(effect.offer_id)
        sdp = self._edit_offer(await self._peer.create_offer(ice_restart=effect.ice_restart))
        await self._peer.set_local_offer(sdp)
        self._flight.note(
            "peers", "offer made", id=effect.offer_id, sections=_sections(sdp), ice_restart=effect.ice_restart or None
        )
        description = rtc.SessionDescription(type="offer", sdp=sdp, id=effect.offer_id)
        self._post(rtc.SignalRequest(offer=description))

    async def _apply(self, answer: rtc.SessionDescription) -> None:
        if not self._machine.accepts(answer.id):
            self._stale(answer)
            return
        await self._peer.set_answer(self._edit_answer(answer.sdp))
        effects = self._machine.answered(self._loop.time())
        settled = self._machine.settled
        self._flight.note("peers", "answer applied", id=answer.id, sections=_sections(answer.sdp), settled=settled)
        self._on_answer(answer)
        for ticket, waiter in self._waiters:
            if ticket <= settled and not waiter.done():
                waiter.set_result(None)
        self._perform(effects)

    def _stale(self, answer: rtc.SessionDescription) -> None:
        self.stale_answers += 1
        self._flight.note("peers", "answer too late", id=answer.id)

    def _perform(self, effects: list[MakeOffer | TimedOut]) -> None:
        for effect in effects:
            match effect:
                case MakeOffer():
                    self._work.submit(lambda effect=effect: self._offer(effect))  # type: ignore[misc]
                case TimedOut():
                    self._fail(NegotiationError("the server did not answer our offer in time"))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._machine.deadline is not None:
            self._timer = self._loop.call_at(self._machine.deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._perform(self._machine.poll(self._loop.time()))

    def _work_failed(self, name: str, error: BaseException) -> None:
        if isinstance(error, NegotiationError):
            self._fail(error)
        else:
            # What libwebrtc says may quote a description.
            words = plain_words(str(error)) or type(error).__name__
            self._fail(NegotiationError(f"the {name} could not negotiate: {words}"))

    def _fail(self, error: NegotiationError) -> None:
        if self._over:
            return
        self._flight.note("peers", "negotiation failed", error=type(error).__name__)
        self.close(error)
        self._on_failure(error)


def _sections(sdp: str) -> int:
    return sdp.count("\nm=")
