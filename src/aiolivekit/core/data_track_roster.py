"""Which data tracks others publish, which of them are subscribed to, and under which handles their packets come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from livekit.protocol import models

__all__ = ["DataTrackRoster", "Entry", "Published", "RosterChange", "SubscriptionWish", "Unpublished"]


@dataclass(slots=True, eq=False)
class Entry:
    """A data track of somebody else; it is the same object as long as the track is published.

    A handle stays in force until the server says otherwise, even while the track is not wanted: who unsubscribes and
    subscribes again at once is not told of it a second time.

    Args:
        identity: Who publishes it.
        info: What the server says of it; its sid changes when the publisher has to join anew.
        wanted: Whether it is subscribed to.
        handle: Under which its packets come; `None` while the server has not said.
        published: Whether it still is.
    """

    identity: str
    info: models.DataTrackInfo
    wanted: bool = False
    handle: int | None = None
    published: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """A data track is there."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A data track is gone; `sid` is its last one."""

    entry: Entry
    sid: str


@dataclass(frozen=True, slots=True)
class SubscriptionWish:
    """The server is to be told whether a data track is wanted (`Entry.wanted`)."""

    entry: Entry


RosterChange = Published | Unpublished | SubscriptionWish


class DataTrackRoster:
    """The data tracks of others.

    What the server says of a participant (`ParticipantInfo.data_tracks`) is the whole of what that one publishes. A
    track that is there again under another sid, with the same publisher, handle, name and everything else, is the
    same one: its publisher has joined anew.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Entry]] = {}
        self._by_sid: dict[str, Entry] = {}
        self._by_handle: dict[int, Entry] = {}
        self.malformed = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._by_sid.values()))

    def by_handle(self, handle: int) -> Entry | None:
        """Return the track whose packets carry this handle."""
        return self._by_handle.get(handle)

    # -- what the server says -----------------------------------------------------------------------

    def update(self, identity: str, infos: Iterable[models.DataTrackInfo]) -> list[RosterChange]:
        """Take all that a participant publishes; nothing if it left."""
        known = self._of.setdefault(identity, {})
        changes: list[RosterChange] = []
        there: set[str] = set()
        fresh: list[models.DataTrackInfo] = []
        for info in infos:
            if not info.sid or not 0 < info.pub_handle <= 0xFFFF:
                self.malformed += 1
            elif info.sid in known:
                there.add(info.sid)
            elif info.sid in self._by_sid or info.sid in there:
                # Of somebody else, or told twice.
                self.malformed += 1
            else:
                there.add(info.sid)
                fresh.append(info)
        gone = {sid: entry for sid, entry in known.items() if sid not in there}
        for info in fresh:
            before = next((sid for sid, entry in gone.items() if _is_same(entry.info, info)), None)
            if before is None:
                entry = known[info.sid] = self._by_sid[info.sid] = Entry(identity, info)
                changes.append(Published(entry))
            else:
                changes += self._renew(gone.pop(before), before, info)
        for sid in gone:
            changes.append(self._remove(sid))
        if not known:
            del self._of[identity]
        return changes

    def _renew(self, entry: Entry, before: str, info: models.DataTrackInfo) -> list[RosterChange]:
        known = self._of[entry.identity]
        del known[before], self._by_sid[before]
        known[info.sid] = self._by_sid[info.sid] = entry
        entry.info = info
        self._forget_handle(entry)
        # The server does not carry a subscription over.
        return [SubscriptionWish(entry)] if entry.wanted else []

    def _remove(self, sid: str) -> Unpublished:
        entry = self._by_sid.pop(sid)
        del self._of[entry.identity][sid]
        self._forget_handle(entry)
        entry.published = entry.wanted = False
        return Unpublished(entry, sid)

    def replace(self, all_of: Mapping[str, Iterable[models.DataTrackInfo]]) -> list[RosterChange]:
        """Take all that everybody publishes; who is not among them has left."""
        changes: list[RosterChange] = []
        for identity in [identity for identity in self._of if identity not in all_of]:
            changes += self.update(identity, ())
        for identity, infos in all_of.items():
            changes += self.update(identity, infos)
        return changes

    def handles(self, sids: Mapping[int, str]) -> list[Entry]:
        """Take the handles of all subscriptions the server has for us; return those that had another one, or none."""
        active: list[Entry] = []
        told: set[Entry] = set()
        before, self._by_handle = self._by_handle, {}
        for handle, sid in sids.items():
            entry = self._by_sid.get(sid)
            if entry is None or not 0 < handle <= 0xFFFF:
                # One that was unpublished meanwhile.
                continue
            if entry in told:
                # One track has one handle.
                self.malformed += 1
                continue
            told.add(entry)
            self._by_handle[handle] = entry
            if entry.handle != handle:
                active.append(entry)
            entry.handle = handle
        for entry in before.values():
            if entry.handle is not None and self._by_handle.get(entry.handle) is not entry:
                # Not allowed any more, perhaps. The server keeps the wish in mind.
                entry.handle = None
        return active

    # -- what we want -------------------------------------------------------------------------------

    def want(self, entry: Entry) -> list[RosterChange]:
        """Subscribe to a track, if that is not done already."""
        if entry.wanted or not entry.published:
            return []
        entry.wanted = True
        return [SubscriptionWish(entry)]

    def unwant(self, entry: Entry) -> list[RosterChange]:
        """Subscribe to a track no more."""
        if not entry.wanted:
            return []
        entry.wanted = False
        return [SubscriptionWish(entry)]

    def restarted(self) -> list[RosterChange]:
        """Return the wishes to say again in a new session, in which handles are new too."""
        for entry in self._by_sid.values():
            self._forget_handle(entry)
        return [SubscriptionWish(entry) for entry in self._by_sid.values() if entry.wanted]

    def unanswered(self) -> list[Entry]:
        """Return what is wanted and has no handle yet."""
        return [entry for entry in self._by_sid.values() if entry.wanted and entry.handle is None]

    def _forget_handle(self, entry: Entry) -> None:
        if entry.handle is not None:
            if self._by_handle.get(entry.handle) is entry:
                del self._by_handle[entry.handle]
            entry.handle = None


def _is_same(known: models.DataTrackInfo, told: models.DataTrackInfo) -> bool:
    """Whether two descriptions differ in nothing but the sid."""
    if known.pub_handle != told.pub_handle or known.name != told.name:
        return False
    twin = models.DataTrackInfo()
    twin.CopyFrom(told)
    twin.sid = known.sid
    return twin == known
