"""What outlives a session."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from livekit.protocol import rtc

from ..core.absences import SentLedger
from ..core.flight import SILENT, FlightTap
from ..core.reliable import ReceiveState, SendSequence
from ..e2ee.manager import E2EEManager
from .events import SessionEvent

if TYPE_CHECKING:
    from .session import RtcSession

__all__ = ["SessionContext"]


@dataclass(slots=True)
class SessionContext:
    """What outlives a session and is handed to the next one.

    Args:
        emit: Takes the session's events, in order.
        joined: Told of the join response before any event that follows it; the session can take requests by then.
        takes_data: Told when packets may be handed to it: they wait there for its channels to open.
        gave_up: Told that it could not be connected, before what waits for its channels fails.
        sequence: Numbers of our reliable packets.
        received: Which reliable packets of others were seen.
        sent: What was sent to whom.
        before_join: What has to be done before the server hears of the join; our own offer is made meanwhile.
        comes_back: Whether another session follows if this one cannot be connected. The server is told nothing then: it
            would tell the others that we left of our own will, and they would keep nothing for us.
        flight: Where it is written down what happens.
        e2ee: Encrypts end to end, or does not.
    """

    emit: Callable[[SessionEvent], None]
    joined: Callable[[RtcSession, rtc.JoinResponse], None] = lambda _session, _join: None
    takes_data: Callable[[RtcSession], None] = lambda _session: None
    gave_up: Callable[[RtcSession], None] = lambda _session: None
    sequence: SendSequence = field(default_factory=SendSequence)
    received: ReceiveState = field(default_factory=ReceiveState)
    sent: SentLedger | None = None
    before_join: Callable[[], Coroutine[Any, Any, object]] | None = None
    comes_back: bool = False
    flight: FlightTap = SILENT
    e2ee: E2EEManager = field(default_factory=lambda: E2EEManager(None))
