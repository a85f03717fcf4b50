"""Participants of a room."""

# ruff: noqa: SLF001 - the classes of this module belong together

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableSet
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_args
from weakref import WeakSet

from livekit.protocol import models

from ..enums import (
    ConnectionQuality,
    DisconnectReason,
    ParticipantKind,
    ParticipantKindDetail,
    ParticipantState,
    TrackSource,
)
from .emitter import EventEmitter
from .event_names import ParticipantEventTypes
from .handler_tasks import HandlerTasks
from .moment import moment
from .track_publication import RemoteTrackPublication, TrackPublication

__all__ = ["Participant", "ParticipantPermission", "RemoteParticipant"]


@dataclass(frozen=True, slots=True)
class ParticipantPermission:
    """What a participant may do (`livekit.ParticipantPermission`).

    Args:
        can_subscribe: Receive tracks.
        can_publish: Publish tracks.
        can_publish_data: Send data.
        can_publish_sources: The only sources it may publish tracks of, if any are named.
        hidden: It is not shown to others.
        can_update_metadata: Change its own name, metadata and attributes.
        can_subscribe_metrics: Receive metrics.
        recorder: It records the room.
        agent: It is an agent.
    """

    can_subscribe: bool = False
    can_publish: bool = False
    can_publish_data: bool = False
    can_publish_sources: tuple[TrackSource, ...] = ()
    hidden: bool = False
    can_update_metadata: bool = False
    can_subscribe_metrics: bool = False
    recorder: bool = False
    agent: bool = False

    @classmethod
    def _of(cls, permission: models.ParticipantPermission) -> ParticipantPermission:
        return cls(
            can_subscribe=permission.can_subscribe,
            can_publish=permission.can_publish,
            can_publish_data=permission.can_publish_data,
            can_publish_sources=tuple(TrackSource.of(source) for source in permission.can_publish_sources),
            hidden=permission.hidden,
            can_update_metadata=permission.can_update_metadata,
            can_subscribe_metrics=permission.can_subscribe_metrics,
            recorder=permission.recorder,
            agent=permission.agent,
        )


class Participant(ABC, EventEmitter[ParticipantEventTypes]):
    """Somebody in a room.

    It has the room's events that concern it, with the room's arguments, and `is_speaking_changed(speaking)`.

    Args:
        info: What the server says of it.
        tasks: Runs its coroutine handlers.
    """

    _event_names = frozenset(get_args(ParticipantEventTypes))

    def __init__(self, info: models.ParticipantInfo, tasks: HandlerTasks) -> None:
        super().__init__(tasks=tasks)
        self._info = info
        self._connection_quality = ConnectionQuality.QUALITY_UNKNOWN
        self._is_speaking = False
        self._audio_level = 0.0
        self._disconnect_reason: DisconnectReason | None = None
        self._is_encrypted = False
        # Streams that read whatever track of a source there is enter themselves here
        # (see `media.frame_stream.StreamParticipant`).
        self._streams: MutableSet[Any] = WeakSet()

    @property
    @abstractmethod
    def track_publications(self) -> Mapping[str, TrackPublication]:
        """The tracks it publishes, by sid."""

    @property
    def sid(self) -> str:
        """The server's id of this participation (`PA_…`)."""
        return self._info.sid

    @property
    def name(self) -> str:
        """The name shown to others."""
        return self._info.name

    @property
    def identity(self) -> str:
        """Who it is: one at a time in a room."""
        return self._info.identity

    @property
    def metadata(self) -> str:
        """What the application stores with it."""
        return self._info.metadata

    @property
    def attributes(self) -> dict[str, str]:
        """What the application stores with it by key (a copy)."""
        return dict(self._info.attributes)

    @property
    def kind(self) -> ParticipantKind:
        """A person, an agent, a telephone and so on."""
        return _KINDS.get(self._info.kind, ParticipantKind.PARTICIPANT_KIND_STANDARD)

    @property
    def kind_details(self) -> list[ParticipantKindDetail]:
        """More about the kind; details newer than this package are left out."""
        known = ParticipantKindDetail.values()
        return [ParticipantKindDetail(detail) for detail in self._info.kind_details if detail in known]

    @property
    def state(self) -> ParticipantState:
        """How far it has come in joining."""
        return ParticipantState.of(self._info.state)

    @property
    def joined_at(self) -> dt.datetime | None:
        """When it joined, or `None` if it is not known yet."""
        milliseconds = self._info.joined_at_ms or self._info.joined_at * 1000
        return moment(milliseconds) if milliseconds else None

    @property
    def permissions(self) -> ParticipantPermission:
        """What it may do."""
        return ParticipantPermission._of(self._info.permission)

    @property
    def connection_quality(self) -> ConnectionQuality:
        """How good its connection is; unknown until the server says."""
        return self._connection_quality

    @property
    def disconnect_reason(self) -> DisconnectReason | None:
        """Why it left, or `None` while it is here or if it is not known."""
        return self._disconnect_reason

    @property
    def is_speaking(self) -> bool:
        """Whether it speaks right now."""
        return self._is_speaking

    @property
    def audio_level(self) -> float:
        """How loud it speaks, 0 to 1, as last told."""
        return self._audio_level

    @property
    def is_encrypted(self) -> bool:
        """Whether it publishes tracks, and says that all of them are encrypted end to end."""
        return self._is_encrypted

    def _set_disconnect_reason(self, reason: int) -> None:
        known = DisconnectReason.of(reason)
        self._disconnect_reason = None if known is DisconnectReason.UNKNOWN_REASON else known

    def _set_speaking(self, active: bool, level: float) -> None:
        self._audio_level = level
        if active != self._is_speaking:
            self._is_speaking = active
            self._tell_handlers("is_speaking_changed", active)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sid={self.sid!r}, identity={self.identity!r}, name={self.name!r})"


# The wire has other numbers than the official SDK's public enum.
_KINDS = {
    models.ParticipantInfo.Kind.STANDARD: ParticipantKind.PARTICIPANT_KIND_STANDARD,
    models.ParticipantInfo.Kind.INGRESS: ParticipantKind.PARTICIPANT_KIND_INGRESS,
    models.ParticipantInfo.Kind.EGRESS: ParticipantKind.PARTICIPANT_KIND_EGRESS,
    models.ParticipantInfo.Kind.SIP: ParticipantKind.PARTICIPANT_KIND_SIP,
    models.ParticipantInfo.Kind.AGENT: ParticipantKind.PARTICIPANT_KIND_AGENT,
    models.ParticipantInfo.Kind.CONNECTOR: ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
    models.ParticipantInfo.Kind.BRIDGE: ParticipantKind.PARTICIPANT_KIND_BRIDGE,
}


class RemoteParticipant(Participant):
    """Another participant."""

    def __init__(self, info: models.ParticipantInfo, tasks: HandlerTasks) -> None:
        super().__init__(info, tasks)
        self._publications: dict[str, RemoteTrackPublication] = {}

    @property
    def track_publications(self) -> Mapping[str, RemoteTrackPublication]:
        """The tracks it publishes, by sid."""
        return MappingProxyType(self._publications)
