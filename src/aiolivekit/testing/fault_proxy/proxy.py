"""A proxy between clients and a LiveKit server at which things go wrong on demand."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

from livekit.protocol import rtc

from ..._tasks import TaskScope
from .faults import (
    BlackoutFault,
    Cut,
    CutFault,
    DelayFault,
    FaultBook,
    FiredFault,
    HoldFault,
    HttpFault,
    MediaDirection,
    MediaFault,
    MediaTarget,
    ProxyFault,
    Sender,
)
from .front import Front, RefuseFault, RefuseResumeFault, RequestKind
from .link import DropFault, WatchFault
from .relays import HOST

__all__ = ["FaultProxy"]

_logger = logging.getLogger("aiolivekit.testing")


class FaultProxy:
    """Stands between clients and one server, real or embedded; clients connect to its `url` with the same tokens.

    It passes on signalling, `validate` and the server's API, and has media go through relays of its own. Faults are
    said by event, never left to chance: methods that install one return it, and it stays until it has fired as often
    as it may, is lifted, or all is healed. What fired is in `log`. Everything runs on the event loop it was entered
    in; it is meant for one test, so participants are told apart by identity alone.

    Args:
        upstream: The server's URL, `ws://…`.
        ping: Interval and timeout in whole seconds to tell clients in place of the server's, so that a test need not
            wait 15 s until a client notices a dead connection.
    """

    def __init__(self, upstream: str, *, ping: tuple[int, int] | None = None) -> None:
        self._book = FaultBook()
        self._front = Front(upstream, self._book, TaskScope(_task_failed), ping)

    # -- life --

    async def __aenter__(self) -> Self:
        await self._front.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._book.clear()
        await self._front.close()

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return f"ws://{HOST}:{self._front.port}"

    @property
    def http_url(self) -> str:
        """The same as `http://…`."""
        return f"http://{HOST}:{self._front.port}"

    @property
    def upstream(self) -> str:
        """The server's URL; another one may be set, for the connections to come."""
        return self._front.upstream

    @upstream.setter
    def upstream(self, url: str) -> None:
        self._front.upstream = url

    # -- what happened --

    @property
    def log(self) -> list[FiredFault]:
        """Every fault that fired, in order."""
        return list(self._book.log)

    def fired(self, fault: str, identity: str | None = None) -> list[FiredFault]:
        """Return what one kind of fault did, to one participant or to all."""
        return [each for each in self._book.log if each.fault == fault and identity in (None, each.identity)]

    def connected(self) -> list[str]:
        """Return who has a signalling connection through which messages pass."""
        return [link.identity for link in self._front.links if link.open]

    # -- signalling messages --

    def watch(
        self, message: str, *, identity: str | None = None, sender: Sender = "server", nth: int = 1
    ) -> ProxyFault:
        """Do nothing, but let a test wait for a message with `wait_fired`.

        Messages are named, here and below, as the fields of `SignalResponse`, or of `SignalRequest` for "client".
        """
        return self._book.install(
            WatchFault("watch", self._book, identity=identity, message=message, sender=sender, nth=nth)
        )

    def drop(
        self, message: str, *, identity: str | None = None, sender: Sender = "server", nth: int = 1, count: int = 1
    ) -> ProxyFault:
        """Drop messages of a kind, from the nth on; count 0 for all."""
        return self._book.install(
            DropFault("drop", self._book, identity=identity, message=message, sender=sender, nth=nth, count=count)
        )

    def hold(self, message: str = "", *, identity: str | None = None, sender: Sender = "server") -> HoldFault:
        """Hold messages of a kind (all, when left out) until `release`; others overtake them."""
        return self._book.install(HoldFault("hold", self._book, identity=identity, message=message, sender=sender))

    def delay(
        self, seconds: float, message: str = "", *, identity: str | None = None, sender: Sender | None = None
    ) -> ProxyFault:
        """Delay messages of a kind (all, when left out) by so long; what comes behind them waits for them."""
        return self._book.install(
            DelayFault("delay", self._book, identity=identity, message=message, sender=sender, seconds=seconds)
        )

    def throttle(
        self, bytes_per_second: float, *, identity: str | None = None, sender: Sender | None = None
    ) -> ProxyFault:
        """Let signalling messages through at no more than so many bytes a second."""
        return self._book.install(
            DelayFault("throttle", self._book, identity=identity, sender=sender, rate=bytes_per_second)
        )

    async def say(self, identity: str, message: rtc.SignalRequest | rtc.SignalResponse) -> None:
        """Say something in a client's place to the server, or in the server's place to a client.

        Raises:
            LookupError: If the participant has no connection.
        """
        for link in reversed(self._front.links):
            if link.identity == identity and link.open:
                self._book.note("say", identity, message.WhichOneof("message") or "")
                await link.say(message)
                return
        raise LookupError("there is no such participant")

    # -- signalling connections --

    async def cut(self, identity: str | None = None, how: Cut = Cut.RESET) -> int:
        """Cut the connections there are now, at once; returns how many."""
        cut = [link for link in self._front.links if link.open and identity in (None, link.identity)]
        for link in cut:
            self._book.note("cut", link.identity, how.value)
            await link.cut(how)
        return len(cut)

    def cut_at(
        self,
        message: str,
        how: Cut = Cut.RESET,
        *,
        before: bool = False,
        identity: str | None = None,
        sender: Sender = "server",
        nth: int = 1,
    ) -> ProxyFault:
        """Cut the connection at a message, which still passes unless `before` is set."""
        return self._book.install(
            CutFault(
                "cut_at",
                self._book,
                how=how,
                before=before,
                identity=identity,
                message=message,
                sender=sender,
                nth=nth,
            )
        )

    def cut_after_bytes(
        self, limit: int, how: Cut = Cut.RESET, *, identity: str | None = None, sender: Sender = "server"
    ) -> ProxyFault:
        """Cut the connection in the message with which more than `limit` bytes have passed; a client gets its start."""
        return self._book.install(
            CutFault("cut_after_bytes", self._book, how=how, identity=identity, sender=sender, limit=limit)
        )

    def refuse(self, count: int | None = None, *, identity: str | None = None) -> ProxyFault:
        """Refuse new connections: so many with a reset, or with `None` all, since nobody listens, until lifted."""
        if count is not None:
            return self.answer(0, count=count, identity=identity, _name="refuse")
        if identity is not None:
            raise ValueError("who it is cannot be known before the connection is taken")
        fault = self._book.install(RefuseFault(self._book, self._front))
        fault.fire("", "nobody listens")
        self._front.stop_listening()
        return fault

    def answer(
        self,
        status: int,
        *,
        to: RequestKind | None = None,
        count: int = 1,
        identity: str | None = None,
        body: str = "",
        _name: str = "answer",
    ) -> ProxyFault:
        """Answer requests of a kind (any, when left out) with an HTTP status in the server's place; count 0 for all."""
        return self._book.install(
            HttpFault(_name, self._book, identity=identity, status=status, body=body, what=to or "", count=count)
        )

    def refuse_resume(self, count: int = 1, *, identity: str | None = None) -> ProxyFault:
        """Refuse resumes as a server does that does not know the session (`STATE_MISMATCH`, join anew)."""
        return self._book.install(RefuseResumeFault("refuse_resume", self._book, identity=identity, count=count))

    # -- media --

    def lose_media(
        self,
        identity: str | None = None,
        *,
        every: int = 1,
        direction: MediaDirection = "both",
        target: MediaTarget | None = None,
    ) -> MediaFault:
        """Lose every nth packet on the media path (1: all of them) until lifted, over UDP and TCP."""
        if every < 1:
            raise ValueError("every counts from 1")
        return self._book.install(
            MediaFault("lose_media", self._book, identity=identity, target=target, direction=direction, every=every)
        )

    def delay_media(
        self,
        seconds: float,
        identity: str | None = None,
        *,
        direction: MediaDirection = "both",
        target: MediaTarget | None = None,
    ) -> MediaFault:
        """Delay packets on the media path by so long until lifted."""
        return self._book.install(
            MediaFault(
                "delay_media", self._book, identity=identity, target=target, direction=direction, seconds=seconds
            )
        )

    def cut_media(self, identity: str | None = None, *, target: MediaTarget | None = None) -> int:
        """End the media flows there are now for good, as a NAT that forgets them; new ones pass. Returns how many."""
        count = self._front.relays.cut(identity, target)
        self._book.note("cut_media", identity or "", str(count))
        return count

    # -- both --

    def blackout(self, identity: str | None = None) -> ProxyFault:
        """Let nothing pass, signalling nor media, until lifted; TCP then goes on where it was, as after an outage."""
        fault = self._book.install(BlackoutFault("blackout", self._book, identity=identity))
        fault.fire(identity or "", "")
        return fault

    def heal(self) -> None:
        """Lift all faults; held messages go on. Connections that were cut stay so."""
        self._book.clear()


def _task_failed(name: str, error: BaseException) -> None:
    _logger.error("task %s of the fault proxy failed", name, exc_info=error)
