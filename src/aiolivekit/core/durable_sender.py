"""What a sender of durable messages does: number, send again, judge its receivers, report (docs/durable.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .durable_keep import DurableKeep
from .durable_member import NEVER, Member, ReplayRange
from .durable_wire import Ack, Gone, Probe, SendControl, Skip, Sync, format_id

__all__ = ["DurableSender", "Replay", "SendAgain", "Undelivered"]

LOOK_EVERY = 0.5
"""Seconds between two looks at who lacks what, as long as anything is kept."""
LINGER = 30.0
"""Seconds for which a broadcast is kept at least; the server announces newcomers late."""
GRACE = 30.0
"""Seconds after which a participant that has not acknowledged anything uses another client."""
OVERDUE = 3.0
"""Seconds without progress after which a receiver is probed."""
SILENT = 30.0
"""Seconds without progress after which a receiver that is present is given up."""
MAX_ABSENT = 1024
_MAX_TARGETED_SINCE = 4096


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An effect: tell the application that messages could not be delivered."""

    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Replay:
    """An effect: send what `next_replay` returns for that identity, in order, until it returns `None`."""

    identity: str


@dataclass(frozen=True, slots=True)
class SendAgain:
    """A message to send to one identity again."""

    payload: bytes
    topic: str
    id: str


Effect = SendControl | Replay | Undelivered


class DurableSender:
    """The stream of one sender, and its receivers. Time is passed in.

    Args:
        stream: Names the stream.
        identity: Our own: we send nothing to ourselves.
        max_bytes: Bytes kept at most.
        max_messages: Messages kept at most.
        keep_for: Seconds for which an absent receiver is waited for.

    Attributes:
        last: The number given last.
        refused: Control packets that said what cannot be.
        replayed: Messages sent again.
    """

    def __init__(self, stream: str, identity: str, *, max_bytes: int, max_messages: int, keep_for: float) -> None:
        self.stream = stream
        self._identity = identity
        self._keep_for = keep_for
        self._keep = DurableKeep(max_bytes, max_messages)
        self._members = self._keep.members
        self._last_broadcast = 0
        self._targeted_since: dict[str, int] = {}
        self._connected = True
        self._connected_at = 0.0
        self._look_at: float | None = None
        self._reports: Counter[str] = Counter()
        self.last = 0
        self.refused = 0
        self.replayed = 0

    @property
    def kept(self) -> int:
        """How many messages are kept."""
        return len(self._keep)

    @property
    def deadline(self) -> float | None:
        """When `poll` is to be called next."""
        return self._look_at if self._connected else None

    # -- sending --

    def make_room(self, size: int) -> bool:
        """Let go of what must give way to a message with `size` bytes of payload; return whether it has room."""
        while not self._keep.has_room(size):
            if self._keep.free():
                continue
            evicted, report = self._keep.evict()
            if not evicted:
                return False
            if report:
                self._reports["they had to give way to newer ones while a receiver was gone"] += 1
        return True

    def publish(self, payload: bytes, topic: str, destinations: Sequence[str], now: float) -> tuple[int, str]:
        """Number a message and keep it; return its number and its id."""
        if self._look_at is None:
            # Nobody has looked for a while: nothing new is kept for who is gone for long.
            self._look(now)
            self._look_at = now + LOOK_EVERY
        number = self.last = self.last + 1
        if destinations:
            named = [each for each in dict.fromkeys(destinations) if each != self._identity]
            message_id = self._id_for(number, named)
            receivers = [member for each in named if (member := self._named(each, now)) is not None]
            if receivers:
                self._keep.add(number, payload, topic, receivers, now)
            return number, message_id
        message_id = format_id(self.stream, number, self._last_broadcast, self._targeted_since)
        self._last_broadcast = number
        self._targeted_since.clear()
        self._keep.add(number, payload, topic, None, now)
        return number, message_id

    def withdraw(self, number: int) -> None:
        """A message could not be sent, and its caller was told so."""
        self._keep.withdraw(number)

    def _id_for(self, number: int, named: Sequence[str]) -> str:
        since = self._targeted_since
        before = {each: since.get(each, self._last_broadcast) for each in named}
        highest = max(before.values(), default=self._last_broadcast)
        others = {each: previous for each, previous in before.items() if previous != highest}
        since.update(dict.fromkeys(named, number))
        if len(since) > _MAX_TARGETED_SINCE:
            # From here on as if this one had been for everybody; those it was not for will ask.
            self._last_broadcast = number
            since.clear()
        return format_id(self.stream, number, highest, others)

    def _named(self, identity: str, now: float) -> Member | None:
        """Return whom a message is kept for that names an identity."""
        member = self._members.get(identity) or self._keep.meet(identity, NEVER, self.last - 1, now)
        if member.present:
            return member if member.claims else None
        member.left_at = now
        if not member.claims:
            member.claims = True
            member.since = NEVER
        return member

    # -- receivers --

    def joined(self, identity: str, now: float) -> None:
        """Somebody is in the room."""
        member = self._members.get(identity) or self._keep.meet(identity, self.last, self.last, now)
        # Over a restart of ours everybody leaves and joins; who uses another client does so still.
        if (not member.claims and (self._connected or member.ours)) or member.since == NEVER:
            member.claims = True
            member.since = self.last
        if not member.present:
            member.here_from = self.last
        member.present = True
        member.due_until = NEVER
        member.asked_at = None
        member.watched = False

    def active(self, identity: str) -> Sequence[Effect]:
        """Somebody can receive now."""
        member = self._members.get(identity)
        if member is None or not self._connected:
            return []
        if member.ours:
            return self._probe(member)
        if any(member.absent_from < number <= member.here_from for number in member.targeted):
            # It cannot be asked: control packets are for those who are known to be ours.
            member.replay = ReplayRange(member.absent_from, member.here_from, plain=True)
            # Once is enough: we shall not know whether it got them.
            member.absent_from = member.here_from
            return [Replay(identity)]
        return []

    def left(self, identity: str, now: float, *, purposely: bool) -> None:
        """Somebody is in the room no more."""
        member = self._members.get(identity)
        if member is None:
            return
        member.present = False
        member.left_at = now
        member.absent_from = self.last
        member.replay = None
        if purposely:
            member.due_until = self.last
        if self._connected and not member.ours and not self._keep.has_pending(member):
            del self._members[identity]

    def ack(self, identity: str, ack: Ack, now: float) -> Sequence[Effect]:
        """Take an acknowledgement."""
        if ack.stream != self.stream or ack.last > self.last:
            self.refused += 1
            return []
        member = self._keep.heard(identity, ack.last, None, self.last, now)
        self._keep.acknowledged(member, ack.last)
        return self._probe(member) if ack.ask else []

    def sync(self, identity: str, sync: Sync, now: float) -> Sequence[Effect]:
        """Take a request to send again what is missing."""
        if sync.stream != self.stream:
            return [SendControl(identity, Gone(sync.stream))]
        if max(sync.last, sync.held) > self.last:
            self.refused += 1
            return []
        end = sync.held - 1 if sync.held else self.last
        member = self._keep.heard(identity, sync.last, end if sync.held else None, self.last, now)
        self._keep.acknowledged(member, sync.last)
        replay = member.replay
        if replay is not None and not replay.plain and replay.cursor >= sync.last and replay.end >= end:
            return []
        member.replay = ReplayRange(sync.last, end)
        return [Replay(identity)]

    def next_replay(self, identity: str) -> SendAgain | Skip | None:
        """Return what an identity is to be sent next; `None` when it has been sent everything."""
        member = self._members.get(identity)
        if member is None or (replay := member.replay) is None:
            return None
        before = replay.cursor
        if before >= replay.end:
            member.replay = None
            return None
        if before < member.acked:
            # A successor without memory, or an answer that is late: it is not sent what was acknowledged.
            replay.cursor = member.acked
            return None if replay.plain else Skip(self.stream, before, member.acked, 0)
        entry = self._keep.next_for(member, replay)
        if not replay.plain:
            up_to = replay.end if entry is None else entry.number - 1
            missed = member.missed(before, up_to)
            if missed or entry is None:
                replay.cursor = up_to
                return Skip(self.stream, before, up_to, missed)
        if entry is None:
            member.replay = None
            return None
        replay.cursor = entry.number
        self.replayed += 1
        if replay.plain and self._keep.next_for(member, ReplayRange(before, entry.number - 1)) is not None:
            # There are broadcasts in between, for those of ours alone: if it is one of them it will ask.
            before = entry.number - 1
        return SendAgain(entry.payload, entry.topic, format_id(self.stream, entry.number, before, {}))

    # -- what happens --

    def interrupted(self, *, session_ends: bool) -> None:
        """We have no connection, or may have none: nobody is judged by what we do not hear."""
        self._connected = False
        if session_ends:
            for member in self._members.values():
                member.replay = None

    def connected(self, now: float) -> Sequence[Effect]:
        """We have a connection again, and what we sent may be lost."""
        self._connected = True
        self._connected_at = now
        if self._look_at is not None:
            self._look_at = now + LOOK_EVERY
        for member in self._members.values():
            member.asked_at = None
            member.watched = False
        present = [member.identity for member in self._members.values() if member.present]
        return [effect for identity in present for effect in self.active(identity)]

    def probe_all(self) -> list[SendControl]:
        """Ask all of ours who are present and lack something how far they are."""
        present = [member for member in self._members.values() if member.present and member.ours]
        return [effect for member in present for effect in self._probe(member)]

    def poll(self, now: float) -> Sequence[Effect]:
        """Do what time asks for."""
        if not self._connected or self._look_at is None or now < self._look_at:
            return []
        effects = [*self._look(now), *self._take_reports()]
        self._look_at = now + LOOK_EVERY if self.kept else None
        return effects

    def is_waiting(self, *, ours: bool) -> bool:
        """Whether somebody who is present, and known to be ours or not known yet, has not acknowledged something."""
        return any(
            member.present and member.ours == ours and self._keep.has_pending(member)
            for member in self._members.values()
        )

    def finish(self, reason: str) -> Sequence[Effect]:
        """The stream ends; return what has to be reported."""
        left: set[int] = set()
        for member in self._members.values():
            left.update(entry.number for entry in self._keep.pending(member) if member.is_due(entry))
        if left:
            self._reports[reason] += len(left)
        self._keep.clear()
        self._look_at = None
        return self._take_reports()

    # -- members --

    def _probe(self, member: Member) -> list[SendControl]:
        number = self._keep.newest(member)
        return [SendControl(member.identity, Probe(self.stream, number))] if number > member.acked else []

    # -- time --

    def _look(self, now: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        for member in list(self._members.values()):
            if not member.present:
                self._look_at_absent(member, now)
            elif not self._keep.has_pending(member):
                member.asked_at = None
                member.watched = False
            elif member.ours:
                effects += self._look_at_ours(member, now)
            elif member.asked_at is None:
                member.asked_at = now
            elif now - member.asked_at >= GRACE:
                self._keep.let_go(member)
        # After an outage of ours, those we do not know of have as long again to say what they lack.
        if now >= self._connected_at + LINGER:
            self._keep.free(now - LINGER)
        absent = [each.identity for each in self._members.values() if not (each.present or each.claims)]
        for identity in absent[: max(0, len(absent) - MAX_ABSENT)]:
            del self._members[identity]
        return effects

    def _look_at_ours(self, member: Member, now: float) -> Sequence[Effect]:
        if not member.watched or member.acked != member.seen:
            member.watched = True
            member.seen = member.acked
            member.progress_at = now
            member.probe_after = OVERDUE
            member.probe_at = now + OVERDUE
        elif now - member.progress_at >= SILENT:
            self._let_go(member, f"a receiver did not acknowledge for {SILENT:g} s")
            member.ours = False
        elif now >= member.probe_at:
            member.probe_after *= 2
            member.probe_at = now + member.probe_after
            return self._probe(member)
        return []

    def _look_at_absent(self, member: Member, now: float) -> None:
        gone = now - member.left_at
        if member.claims and gone >= self._keep_for:
            self._let_go(member, f"a receiver was gone for more than {self._keep_for:g} s")
        elif not member.ours and member.since != NEVER and gone >= GRACE:
            # Broadcasts wait for those of ours only; named destinations are waited for longer.
            late = sum(
                1 for entry in self._keep.pending(member) if entry.waiting is None and entry.number <= member.due_until
            )
            if late:
                self._reports["a receiver left before it had acknowledged anything"] += late
            member.since = NEVER
        if not member.ours and not self._keep.has_pending(member):
            del self._members[member.identity]

    def _let_go(self, member: Member, reason: str) -> None:
        count = self._keep.let_go(member)
        if count:
            self._reports[reason] += count

    def _take_reports(self) -> Sequence[Effect]:
        reports, self._reports = self._reports, Counter()
        return [Undelivered(count, reason) for reason, count in reports.items()]
