"""Which durable messages are kept, for whom, and which give way (docs/durable.md)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

from .durable_member import NEVER, Entry, Member, ReplayRange

__all__ = ["DurableKeep"]

_ENTRY_OVERHEAD = 256


class DurableKeep:
    """The messages of one sender, and the receivers they are kept for.

    Args:
        max_bytes: Bytes kept at most.
        max_messages: Messages kept at most.

    Attributes:
        members: The receivers, by identity.
        size: Bytes kept.
        freed: The highest number of a broadcast that is kept no more.
    """

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._entries: dict[int, Entry] = {}
        self._broadcasts: deque[Entry] = deque()
        self._targeted: OrderedDict[int, Entry] = OrderedDict()
        self.members: OrderedDict[str, Member] = OrderedDict()
        self.size = 0
        self.freed = 0

    def __len__(self) -> int:
        return len(self._entries)

    # -- for whom --

    def meet(self, identity: str, since: float, absent_from: int, now: float) -> Member:
        """Return a new receiver, not in the room yet.

        Args:
            identity: Whose.
            since: Broadcasts with higher numbers are for it.
            absent_from: The last number before it was heard of.
            now: When.
        """
        member = Member(identity, since, present=False, left_at=now, absent_from=absent_from)
        self.members[identity] = member
        return member

    def heard(self, identity: str, position: int, live: int | None, last: int, now: float) -> Member:
        """Return the receiver of an identity that has shown to be ours, by a control packet.

        Args:
            identity: Whose control packet it was.
            position: What it has.
            live: It gets what has a higher number without being sent it again; `None` if it did not say.
            last: The number given last.
            now: When.
        """
        since: float = position or (last if live is None else live)
        member = self.members.get(identity)
        if member is None:
            member = self.meet(identity, since, last, now)
            kept_since: float = last
        elif not member.claims:
            # What it lacks from before it left is noted already, and the rest was not for it.
            kept_since = last if member.present else since
            member.claims = True
            member.since = since
        else:
            kept_since = member.base
            if not member.ours and position:
                # It was here before the server told us.
                member.since = min(member.since, position)
            elif live is not None:
                member.since = min(member.since, live)
        unkept = int(min(kept_since, self.freed, last if live is None else live))
        if member.base < unkept:
            # We did not know of it, or took it for another client.
            member.lose(int(member.base) + 1, unkept)
        member.ours = True
        if not member.present:
            member.left_at = now
        return member

    # -- in --

    def has_room(self, size: int) -> bool:
        """Whether one more message fits; the first one always does."""
        if not self._entries:
            return True
        return len(self._entries) < self._max_messages and self.size + size + _ENTRY_OVERHEAD <= self._max_bytes

    def add(self, number: int, payload: bytes, topic: str, receivers: Sequence[Member] | None, now: float) -> None:
        """Keep a message.

        Args:
            number: Of the message, higher than all before.
            payload: Of the call.
            topic: Of the call.
            receivers: For whom; `None` for everybody.
            now: When it is sent.
        """
        waiting = None if receivers is None else {member.identity for member in receivers}
        entry = Entry(number, payload, topic, len(payload) + _ENTRY_OVERHEAD, now, waiting)
        self._entries[number] = entry
        self.size += entry.size
        if receivers is None:
            self._broadcasts.append(entry)
            return
        self._targeted[number] = entry
        for member in receivers:
            member.targeted.append(number)

    # -- what is kept --

    def has_pending(self, member: Member) -> bool:
        """Whether anything is kept for a receiver."""
        if not member.claims:
            return False
        return bool(member.targeted) or bool(self._broadcasts and self._broadcasts[-1].number > member.base)

    def pending(self, member: Member) -> Iterator[Entry]:
        """Return what is kept for a receiver, broadcasts first."""
        if member.claims:
            base = member.base
            yield from (entry for entry in self._broadcasts if entry.number > base)
            yield from (self._entries[number] for number in member.targeted)

    def newest(self, member: Member) -> int:
        """Return the highest number kept for a receiver, or lost for it; 0 if there is none."""
        number = member.lost[-1][1] if member.lost else 0
        if not member.claims:
            return number
        if member.targeted:
            number = max(number, member.targeted[-1])
        if self._broadcasts and self._broadcasts[-1].number > member.base:
            number = max(number, self._broadcasts[-1].number)
        return number

    def next_for(self, member: Member, replay: ReplayRange) -> Entry | None:
        """Return the next message to be sent to a receiver again."""
        starts = [member.targeted[0]] if member.targeted else []
        if self._broadcasts and member.since != NEVER and not replay.plain:
            starts.append(self._broadcasts[0].number)
        if not starts:
            return None
        for number in range(max(replay.cursor + 1, min(starts)), replay.end + 1):
            entry = self._entries.get(number)
            if entry is None:
                continue
            if entry.waiting is None:
                if number > member.since and not replay.plain:
                    return entry
            elif member.identity in entry.waiting:
                return entry
        return None

    # -- out --

    def acknowledged(self, member: Member, number: int) -> None:
        """A receiver has everything up to a number."""
        if number <= member.acked:
            return
        member.acked = number
        while member.targeted and member.targeted[0] <= number:
            self._waits_no_more(member, self._entries[member.targeted.popleft()])
        member.forget_lost(number)

    def withdraw(self, number: int) -> None:
        """A message was not sent after all."""
        entry = self._entries.get(number)
        if entry is None:
            return
        if entry.waiting is None:
            self._broadcasts.remove(entry)
        else:
            for identity in entry.waiting:
                self.members[identity].targeted.remove(number)
        self._drop(entry)

    def free(self, sent_before: float | None = None) -> bool:
        """Forget broadcasts that nobody needs, perhaps only older ones; return whether there were any."""
        claims = (member.base for member in self.members.values() if member.claims and member.since != NEVER)
        floor = min(claims, default=NEVER)
        count = len(self._entries)
        while self._broadcasts and self._broadcasts[0].number <= floor:
            if sent_before is not None and self._broadcasts[0].sent_at > sent_before:
                break
            self._forget_broadcast()
        return len(self._entries) < count

    def evict(self) -> tuple[bool, bool]:
        """Forget the oldest message that no receiver needs who is present and ours.

        Returns:
            Whether there was one, and whether it has to be reported.
        """
        present = {m.identity: m for m in self.members.values() if m.present and m.ours and m.claims}
        floor = min((m.base for m in present.values()), default=NEVER)
        candidates: list[Entry] = []
        if self._broadcasts and self._broadcasts[0].number <= floor:
            candidates.append(self._broadcasts[0])
        if self._targeted:
            oldest = next(iter(self._targeted.values()))
            assert oldest.waiting is not None
            if present.keys().isdisjoint(oldest.waiting):
                candidates.append(oldest)
        if not candidates:
            return False, False
        entry = min(candidates, key=lambda each: each.number)
        if entry.waiting is None:
            losers = [m for m in self.members.values() if m.claims and m.base < entry.number]
            self._forget_broadcast()
        else:
            losers = [self.members[identity] for identity in entry.waiting]
            for member in losers:
                member.targeted.remove(entry.number)
            self._drop(entry)
        for member in losers:
            member.lose(entry.number, entry.number)
        return True, any(member.is_due(entry) for member in losers)

    def let_go(self, member: Member) -> int:
        """Keep nothing for a receiver any more; return how many messages have to be reported."""
        count = 0
        for entry in sorted(self.pending(member), key=lambda each: each.number):
            member.lose(entry.number, entry.number)
            count += member.is_due(entry)
            if entry.waiting is not None:
                self._waits_no_more(member, entry)
        member.targeted.clear()
        member.claims = False
        member.replay = None
        return count

    def clear(self) -> None:
        """Forget everything and everybody."""
        self.members.clear()
        self._entries.clear()
        self._broadcasts.clear()
        self._targeted.clear()
        self.size = 0

    def _waits_no_more(self, member: Member, entry: Entry) -> None:
        assert entry.waiting is not None
        entry.waiting.discard(member.identity)
        if not entry.waiting:
            self._drop(entry)

    def _forget_broadcast(self) -> None:
        entry = self._broadcasts.popleft()
        self.freed = entry.number
        self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.number]
        self._targeted.pop(entry.number, None)
        self.size -= entry.size
