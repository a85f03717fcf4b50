"""Faults on demand: what goes wrong is said by event (the nth message or packet of a kind), never left to chance.

Each method installs a fault and returns its handle; it stays until it has fired as often as it may, or is lifted.
Counting begins when the fault is installed. Everything that fired is in `Faults.log`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, cast

from livekit.protocol import models, rtc

from aiolivekit.server.downlink import send_stream_states
from aiolivekit.server.fault import CloseFault, Direction, Fault, Fired, Hold
from aiolivekit.server.packet_faults import PacketFault, PacketFaults, PacketKind
from aiolivekit.server.tokens import Claims

if TYPE_CHECKING:
    from aiolivekit.server.connection import SignalConnection
    from aiolivekit.server.ice import IceMux
    from aiolivekit.server.participant import Participant
    from aiolivekit.server.room import Room

__all__ = ["Direction", "Fault", "Faults", "Fired", "Hold"]

_HELD_LIMIT = 10_000


class Faults:
    """The faults of one server.

    Args:
        mux: The sockets whose packets packet faults act on.
        rooms: Yields the rooms of the server.
    """

    def __init__(self, mux: IceMux, rooms: Callable[[], Iterator[Room]]) -> None:
        self.log: list[Fired] = []
        self._mux = mux
        self._rooms = rooms
        self._active: list[Fault] = []
        self.packets = PacketFaults(self, mux)

    # bookkeeping

    def _install(self, fault: Fault) -> None:
        self._active.append(fault)

    def remove(self, fault: Fault) -> None:
        """Remove a fault."""
        if fault in self._active:
            self._active.remove(fault)

    def clear(self) -> None:
        """Remove all faults; held messages go out."""
        for fault in list(self._active):
            if isinstance(fault, Hold):
                fault.release()
        self._active.clear()
        self.packets.clear()
        for room in self._rooms():
            for participant in room.participants.values():
                participant.set_reading(signal=True, data=True)

    def fired(self, name: str, identity: str | None = None) -> list[Fired]:
        """Return what a kind of fault did, to one participant or to all."""
        return [f for f in self.log if f.fault == name and identity in (None, f.identity)]

    def _participants(self, identity: str | None) -> list[Participant]:
        found = [
            p
            for room in self._rooms()
            for p in list(room.participants.values())
            if identity is None or p.identity == identity
        ]
        if identity is not None and not found:
            raise LookupError(f"there is no participant {identity!r}")
        return found

    def note_packet(self, name: str, identity: str, kind: str) -> None:
        """Log a packet fault that fired."""
        self._note(name, identity, kind)

    def _note(self, name: str, identity: str, detail: str = "") -> None:
        self.log.append(Fired(name, identity, detail, time.monotonic()))

    # signalling messages

    def drop_signal(
        self,
        message: str,
        *,
        identity: str | None = None,
        direction: Direction = "out",
        nth: int = 1,
        count: int = 1,
    ) -> Fault:
        """Drop signalling messages of a kind: a field of `SignalResponse`, or of `SignalRequest` for direction "in"."""
        fault = Fault(
            "drop_signal", self, identity=identity, message=message, direction=direction, nth=nth, count=count
        )
        self._install(fault)
        return fault

    def hold(self, message: str = "", *, identity: str | None = None, count: int = 0) -> Hold:
        """Hold the server's messages of a kind (all, when left out) until `release`; later ones overtake them."""
        fault = Hold("hold", self, identity=identity, message=message, count=count)
        self._install(fault)
        return fault

    def close_before(
        self, message: str, *, identity: str | None = None, nth: int = 1, code: int = 1011, abrupt: bool = False
    ) -> Fault:
        """Close the connection instead of sending a message; `abrupt` drops TCP without a close frame."""
        fault = CloseFault(self, before=True, identity=identity, message=message, nth=nth, code=code, abrupt=abrupt)
        self._install(fault)
        return fault

    def close_after(
        self, message: str, *, identity: str | None = None, nth: int = 1, code: int = 1011, abrupt: bool = False
    ) -> Fault:
        """Close the connection after sending a message; `abrupt` drops TCP without a close frame."""
        fault = CloseFault(self, before=False, identity=identity, message=message, nth=nth, code=code, abrupt=abrupt)
        self._install(fault)
        return fault

    def no_pong(self, identity: str | None = None) -> Fault:
        """Leave pings unanswered until lifted."""
        fault = Fault("no_pong", self, identity=identity, message="", count=0)
        self._install(fault)
        return fault

    def unknown_first_message(self, identity: str | None = None, *, count: int = 1) -> Fault:
        """Send a message of a kind no client knows before the join or reconnect response."""
        fault = Fault("unknown_first_message", self, identity=identity, message="join", count=count)
        self._install(fault)
        return fault

    def refuse_resume(self, n: int = 1, *, identity: str | None = None, status: int = 0) -> Fault:
        """Refuse the next n resumes: with a leave request (`STATE_MISMATCH`, RECONNECT), or with an HTTP status."""
        fault = Fault("refuse_resume", self, identity=identity, message=str(status), direction="in", count=n)
        self._install(fault)
        return fault

    def refuse_join(self, n: int = 1, *, identity: str | None = None, status: int = 503) -> Fault:
        """Refuse the next n joins with an HTTP status."""
        fault = Fault("refuse_join", self, identity=identity, message=str(status), direction="in", count=n)
        self._install(fault)
        return fault

    def expire_token(self, identity: str) -> Fault:
        """Treat every token of a participant as expired until lifted: it cannot resume or join."""
        fault = Fault("expire_token", self, identity=identity, direction="in", count=0)
        self._install(fault)
        return fault

    # participants

    def leave(
        self,
        identity: str,
        action: rtc.LeaveRequest.Action | str = "DISCONNECT",
        reason: models.DisconnectReason | str = "SERVER_SHUTDOWN",
    ) -> None:
        """Send a leave request now, and do what the server does with it: RESUME keeps the session, others end it."""
        if isinstance(action, str):
            action = cast(rtc.LeaveRequest.Action, rtc.LeaveRequest.Action.Value(action))
        if isinstance(reason, str):
            reason = cast(models.DisconnectReason, models.DisconnectReason.Value(reason))
        for participant in self._participants(identity):
            self._note("leave", identity, rtc.LeaveRequest.Action.Name(action))
            participant.send_leave(reason, action)
            if action == rtc.LeaveRequest.Action.RESUME:
                participant.close_signal()
            else:
                participant.close(reason, send_leave=False)

    def migrate(self, identity: str) -> None:
        """Ask a participant to resume on another node, as a server does that is drained."""
        for participant in self._participants(identity):
            self._note("migrate", identity)
            participant.send_leave(models.DisconnectReason.MIGRATION, rtc.LeaveRequest.Action.RESUME)
            participant.close_signal()

    def close_signal(self, identity: str, *, code: int = 1001, abrupt: bool = False) -> None:
        """Close a participant's signalling connection now; `abrupt` drops TCP without a close frame."""
        for participant in self._participants(identity):
            self._note("close_signal", identity, "abrupt" if abrupt else str(code))
            if participant.connection is not None:
                if abrupt:
                    participant.connection.abort()
                else:
                    participant.connection.close(code)

    def kill_transport(self, identity: str, which: Literal["all", "publisher", "subscriber"] = "all") -> None:
        """End a participant's media connections silently, as if its network were gone for good."""
        for participant in self._participants(identity):
            self._note("kill_transport", identity, which)
            participant.kill_transports(which)

    def kill(self, identity: str) -> None:
        """Forget a participant as a crashed node does: no message, connections gone."""
        for participant in self._participants(identity):
            self._note("kill", identity)
            if participant.connection is not None:
                participant.connection.abort()
            participant.close(models.DisconnectReason.UNKNOWN_REASON, send_leave=False)

    def slow_reader(self, identity: str, *, signal: bool = True, data: bool = True) -> None:
        """Stop reading what a participant sends, on its signalling connection, its data channels, or both."""
        for participant in self._participants(identity):
            self._note("slow_reader", identity)
            participant.set_reading(signal=not signal, data=not data)

    def normal_reader(self, identity: str) -> None:
        """Read again after `slow_reader`."""
        for participant in self._participants(identity):
            participant.set_reading(signal=True, data=True)

    def starve(self, identity: str) -> None:
        """Pause the video tracks a participant gets, as if its bandwidth no longer sufficed; it is told so."""
        for participant in self._participants(identity):
            tracks = [down for down in participant.subscriptions.active.values() if down.track.kind == "video"]
            paused = [down for down in tracks if down.starve(True)]
            if paused:
                self._note("starve", identity, ",".join(down.track.sid for down in paused))
                send_stream_states(participant, paused, rtc.StreamState.PAUSED)

    def feed(self, identity: str) -> None:
        """Send again what `starve` paused; the participant is told when the first packet goes."""
        for participant in self._participants(identity):
            for down in participant.subscriptions.active.values():
                if down.starve(False):
                    down.track.publisher.publishing.uplink.kick()

    # packets

    def drop_packets(
        self,
        kind: PacketKind = "any",
        *,
        identity: str | None = None,
        direction: Direction | None = None,
        nth: int = 1,
        every: int = 1,
        count: int = 1,
    ) -> PacketFault:
        """Drop packets: the nth and every `every`-th after it, `count` in all (0: without end)."""
        return self.packets.install("drop_packets", kind, identity, direction, nth, every, count)

    def blackout(self, identity: str | None = None, *, direction: Direction | None = None) -> PacketFault:
        """Drop every packet until lifted."""
        return self.packets.install("blackout", "any", identity, direction, 1, 1, 0)

    def delay_packets(
        self,
        seconds: float,
        kind: PacketKind = "any",
        *,
        identity: str | None = None,
        direction: Direction | None = None,
        nth: int = 1,
        every: int = 1,
        count: int = 0,
    ) -> PacketFault:
        """Deliver packets later; without `count` all of them until lifted."""
        return self.packets.install("delay_packets", kind, identity, direction, nth, every, count, delay=seconds)

    def duplicate_packets(
        self,
        kind: PacketKind = "any",
        *,
        identity: str | None = None,
        direction: Direction | None = None,
        nth: int = 1,
        every: int = 1,
        count: int = 1,
    ) -> PacketFault:
        """Deliver packets twice."""
        return self.packets.install("duplicate_packets", kind, identity, direction, nth, every, count)

    def reorder_packets(
        self,
        kind: PacketKind = "any",
        *,
        identity: str | None = None,
        direction: Direction | None = None,
        nth: int = 1,
        every: int = 2,
        count: int = 1,
    ) -> PacketFault:
        """Deliver a packet after the next one of its kind."""
        return self.packets.install("reorder_packets", kind, identity, direction, nth, every, count)

    # asked by the server

    def signal_out(self, connection: SignalConnection, response: rtc.SignalResponse) -> None:
        """Pass a message of the server on, or do what a fault says instead."""
        if not self._active:
            connection.enqueue(response)
            return
        message = response.WhichOneof("message") or ""
        identity = connection.identity
        for fault in list(self._active):
            first = fault.name == "unknown_first_message" and message == "reconnect"
            if not fault.matches(identity, "join" if first else message, "out"):
                continue
            if fault.name == "no_pong":
                if message not in ("pong", "pong_resp"):
                    continue
                fault.fire(identity, message)
                return
            fault.fire(identity, message)
            if fault.name == "drop_signal":
                return
            if isinstance(fault, Hold):
                if len(fault.held) < _HELD_LIMIT:
                    fault.held.append((connection, response))
                return
            if fault.name == "unknown_first_message":
                connection.enqueue(_unknown_message())
            elif isinstance(fault, CloseFault):
                if not fault.before:
                    connection.enqueue(response)
                if fault.abrupt and fault.before:
                    connection.abort()
                elif fault.abrupt:
                    asyncio.get_running_loop().call_later(0.02, connection.abort)
                else:
                    connection.close(fault.code)
                return
        connection.enqueue(response)

    def signal_in(self, connection: SignalConnection, request: rtc.SignalRequest) -> bool:
        """Whether a client's message is to be handled."""
        if not self._active:
            return True
        message = request.WhichOneof("message") or ""
        for fault in list(self._active):
            if fault.name == "drop_signal" and fault.matches(connection.identity, message, "in"):
                fault.fire(connection.identity, message)
                return False
        return True

    def refusal(self, identity: str, *, resume: bool) -> int | None:
        """Return the status with which a connection is refused, 0 for a leave request; `None` to let it be."""
        name = "refuse_resume" if resume else "refuse_join"
        for fault in list(self._active):
            if fault.name == name and fault.matches(identity, fault.message, "in"):
                fault.fire(identity, fault.message)
                return int(fault.message)
        return None

    def token_expired(self, claims: Claims) -> bool:
        """Whether a token is to be treated as expired."""
        for fault in list(self._active):
            if fault.name == "expire_token" and fault.matches(claims.identity, "", "in"):
                fault.fire(claims.identity, "")
                return True
        return False


def _unknown_message() -> rtc.SignalResponse:
    # A field of a number that no version has: it parses, and no oneof is set.
    return rtc.SignalResponse.FromString(b"\xfa\x7f\x03new")
