"""Who is in a room, and what an update of the server changes about it.

An update (`livekit.ParticipantInfo`) is the whole state of one participant. The roster compares it with what it knows
and returns the differences, in the order in which they are to be told; it holds no objects of the Room API.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from livekit.protocol import models

__all__ = [
    "AttributesChanged",
    "Change",
    "LocalFields",
    "MetadataChanged",
    "NameChanged",
    "ParticipantActivated",
    "ParticipantChanged",
    "ParticipantJoined",
    "ParticipantLeft",
    "PermissionsChanged",
    "Roster",
    "TrackChanged",
    "TrackMuteChanged",
    "TrackPublished",
    "TrackUnpublished",
]

_MAX_GONE = 512
"""Sids of participants that left, kept to recognise updates that come after their end."""

_State = models.ParticipantInfo.State


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """Somebody is here whom we did not know."""

    info: models.ParticipantInfo


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """Somebody is here no more; their tracks were unpublished before. `reason` is a `DisconnectReason` number."""

    identity: str
    sid: str
    reason: int


@dataclass(frozen=True, slots=True)
class ParticipantChanged:
    """`info` is in force now; which of its fields changed is told by the changes that follow."""

    identity: str
    info: models.ParticipantInfo


@dataclass(frozen=True, slots=True)
class ParticipantActivated:
    """A remote participant can receive now."""

    identity: str


@dataclass(frozen=True, slots=True)
class NameChanged:
    """A participant has another name."""

    identity: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class MetadataChanged:
    """A participant has other metadata."""

    identity: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class AttributesChanged:
    """Attributes that a participant got, changed, or lost (an empty string)."""

    identity: str
    changed: dict[str, str]


@dataclass(frozen=True, slots=True)
class PermissionsChanged:
    """A participant may do other things than before."""

    identity: str


@dataclass(frozen=True, slots=True)
class TrackPublished:
    """A remote participant publishes a track."""

    identity: str
    track: models.TrackInfo


@dataclass(frozen=True, slots=True)
class TrackUnpublished:
    """A remote participant publishes a track no more."""

    identity: str
    track_sid: str


@dataclass(frozen=True, slots=True)
class TrackChanged:
    """Something about a track changed other than whether it is muted. Ours included."""

    identity: str
    track: models.TrackInfo


@dataclass(frozen=True, slots=True)
class TrackMuteChanged:
    """A track of a remote participant was muted or unmuted; `track` is in force now."""

    identity: str
    track: models.TrackInfo


Change = (
    ParticipantJoined
    | ParticipantLeft
    | ParticipantChanged
    | ParticipantActivated
    | NameChanged
    | MetadataChanged
    | AttributesChanged
    | PermissionsChanged
    | TrackPublished
    | TrackUnpublished
    | TrackChanged
    | TrackMuteChanged
)


@dataclass(frozen=True, slots=True)
class LocalFields:
    """What we changed about ourselves; `None` for what we did not. An empty attribute is removed."""

    name: str | None = None
    metadata: str | None = None
    attributes: dict[str, str] | None = None


class Roster:
    """The participants of a room, by identity.

    An identity has one sid at a time. An update is dropped when a later one was seen: of the same sid with a higher
    `version`, of a sid that left, or of a sid that joined later under the same identity. Updates of one version may
    differ, and the last one counts, except that a track is there until a later version is without it.

    Args:
        local: Our own participant.
    """

    def __init__(self, local: models.ParticipantInfo) -> None:
        self._local = local
        self._remote: dict[str, models.ParticipantInfo] = {}
        self._identities: dict[str, str] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._owners: dict[str, str] = {}
        self.dropped = 0

    @property
    def local(self) -> models.ParticipantInfo:
        """Our own participant, as last told."""
        return self._local

    def identity_of(self, sid: str) -> str | None:
        """Return the identity of a participant that is here, ourselves included."""
        return self._local.identity if sid == self._local.sid else self._identities.get(sid)

    def apply(self, updates: Iterable[models.ParticipantInfo]) -> list[Change]:
        """Take updates of the server; return what they change, in order."""
        changes: list[Change] = []
        for info in updates:
            changes += self._apply(info)
        return changes

    def replace(self, local: models.ParticipantInfo, others: Iterable[models.ParticipantInfo]) -> list[Change]:
        """Take the participants of another room, or of another session; everybody known before leaves first."""
        changes: list[Change] = []
        for info in list(self._remote.values()):
            changes += self._leave(info, models.UNKNOWN_REASON)
        self._gone.clear()
        changes += self._change_local(local)
        return changes + self.apply(others)

    def reconcile(self, present: Collection[str]) -> list[Change]:
        """Take the sids of all who are here, after a time without news; who is not among them has left."""
        missing = [info for info in self._remote.values() if info.sid not in present]
        return [change for info in missing for change in self._leave(info, models.UNKNOWN_REASON)]

    def amend(self, fields: LocalFields) -> list[Change]:
        """Take what the server has accepted about us, which its update may still be on the way to say."""
        info = models.ParticipantInfo()
        info.CopyFrom(self._local)
        if fields.name is not None:
            info.name = fields.name
        if fields.metadata is not None:
            info.metadata = fields.metadata
        for key, value in (fields.attributes or {}).items():
            if value:
                info.attributes[key] = value
            else:
                info.attributes.pop(key, None)
        return self._change_local(info)

    def _apply(self, info: models.ParticipantInfo) -> list[Change]:
        identity = info.identity or self.identity_of(info.sid)
        if not identity or not info.sid:
            self.dropped += 1
            return []
        if identity == self._local.identity:
            if info.sid != self._local.sid or info.version < self._local.version:
                # Another session under our identity is none of ours: the server tells us to leave when it counts.
                self.dropped += 1
                return []
            return self._change_local(info)
        known = self._remote.get(identity)
        if info.state == _State.DISCONNECTED:
            self._remember_gone(info)
            if known is None or known.sid != info.sid:
                self.dropped += 1
                return []
            return self._leave(known, info.disconnect_reason)
        if known is None:
            gone = self._gone.get(info.sid)
            if gone is not None and info.version <= gone:
                self.dropped += 1
                return []
            return self._join(identity, info)
        if known.sid != info.sid:
            if _joined(info) < _joined(known) or info.sid in self._gone:
                self.dropped += 1
                return []
            return self._leave(known, models.DUPLICATE_IDENTITY) + self._join(identity, info)
        if info.version < known.version:
            self.dropped += 1
            return []
        return self._change(identity, known, info)

    def _join(self, identity: str, info: models.ParticipantInfo) -> list[Change]:
        if info.identity != identity:
            info.identity = identity
        self._remote[identity] = info
        self._identities[info.sid] = identity
        changes: list[Change] = [ParticipantJoined(info)]
        if info.state == _State.ACTIVE:
            changes.append(ParticipantActivated(identity))
        changes += [TrackPublished(identity, track) for track in self._tracks(identity, info).values()]
        return changes

    def _leave(self, known: models.ParticipantInfo, reason: int) -> list[Change]:
        identity = known.identity
        del self._remote[identity]
        self._identities.pop(known.sid, None)
        self._remember_gone(known)
        changes: list[Change] = []
        for sid in self._tracks(identity, known):
            del self._owners[sid]
            changes.append(TrackUnpublished(identity, sid))
        changes.append(ParticipantLeft(identity, known.sid, reason))
        return changes

    def _remember_gone(self, info: models.ParticipantInfo) -> None:
        self._gone[info.sid] = max(info.version, self._gone.pop(info.sid, 0))
        if len(self._gone) > _MAX_GONE:
            self._gone.popitem(last=False)

    def _change(self, identity: str, old: models.ParticipantInfo, new: models.ParticipantInfo) -> list[Change]:
        if new.identity != identity:
            new.identity = identity
        if new.version == old.version and new.version:  # a server without versions sends 0
            # livekit-server reads a participant's version and then, under another lock, the tracks: of two updates of
            # one version the second to come may have been read first. When a track has ended, a later version follows.
            listed = {track.sid for track in new.tracks}
            new.tracks.extend([track for track in old.tracks if track.sid not in listed])
        self._remote[identity] = new
        changes: list[Change] = [ParticipantChanged(identity, new)]
        if new.state == _State.ACTIVE and old.state != _State.ACTIVE:
            changes.append(ParticipantActivated(identity))
        changes += _field_changes(identity, old, new)
        before, now = self._tracks(identity, old), self._tracks(identity, new)
        for sid in before:
            if sid not in now:
                del self._owners[sid]
                changes.append(TrackUnpublished(identity, sid))
        for sid, track in now.items():
            known = before.get(sid)
            if known is None:
                changes.append(TrackPublished(identity, track))
            elif known.muted != track.muted:
                changes.append(TrackMuteChanged(identity, track))
            elif known != track:
                changes.append(TrackChanged(identity, track))
        return changes

    def _tracks(self, identity: str, info: models.ParticipantInfo) -> dict[str, models.TrackInfo]:
        """The tracks of a remote participant; a sid is one participant's, and counts once."""
        return {
            track.sid: track
            for track in info.tracks
            if track.sid and self._owners.setdefault(track.sid, identity) == identity
        }

    def _change_local(self, new: models.ParticipantInfo) -> list[Change]:
        old, self._local = self._local, new
        identity = new.identity
        changes: list[Change] = [ParticipantChanged(identity, new)]
        changes += _field_changes(identity, old, new)
        changes += [TrackChanged(identity, track) for track in new.tracks if track.sid]
        return changes


def _field_changes(identity: str, old: models.ParticipantInfo, new: models.ParticipantInfo) -> list[Change]:
    changes: list[Change] = []
    if old.name != new.name:
        changes.append(NameChanged(identity, old.name, new.name))
    if old.metadata != new.metadata:
        changes.append(MetadataChanged(identity, old.metadata, new.metadata))
    if old.attributes != new.attributes:
        before, now = dict(old.attributes), dict(new.attributes)
        changed = {key: now.get(key, "") for key in sorted(now | before) if before.get(key) != now.get(key)}
        changes.append(AttributesChanged(identity, changed))
    if old.permission != new.permission:
        changes.append(PermissionsChanged(identity))
    return changes


def _joined(info: models.ParticipantInfo) -> int:
    return info.joined_at_ms or info.joined_at * 1000
