"""What an episode of reconnecting was, for the application: why, how, how long, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..core.reconnection import Cause, Episode, Mode
from ..enums import DisconnectReason

__all__ = ["Episodes", "ReconnectCause", "ReconnectHook", "ReconnectMode", "ReconnectReport"]

ReconnectMode = Literal["resume", "restart"]
"""A resume keeps the session; a restart joins anew and publishes again."""


@dataclass(frozen=True, slots=True)
class ReconnectCause:
    """Why a connection was lost, or given up.

    Attributes:
        source: What it was: `signal`, `publisher`, `subscriber`, `channel`, `negotiation`, `leave` (the server asked),
            `token` or `internal`.
        reason: The same as one of LiveKit's reasons.
        detail: The same in words.
    """

    source: str
    reason: DisconnectReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReconnectReport:
    """One episode of reconnecting: from the loss of the connection to its return, or to the end of the room.

    Attributes:
        succeeded: Whether the room is connected again.
        cause: What began it.
        ended_by: What ended the room; `None` if it is connected again.
        mode: The mode it ended in.
        modes: Those in which attempts were made, in order.
        attempts: How many were made.
        duration: Seconds from the loss until everything was in its place again, tracks that had to be published again
            included, or until the room was given up.
        messages_replayed: Reliable messages that were sent again since the server had not got them.
        tracks_resumed: Published tracks that went on as they were.
        tracks_republished: Published tracks that were published again.
    """

    succeeded: bool
    cause: ReconnectCause
    ended_by: ReconnectCause | None
    mode: ReconnectMode
    modes: tuple[ReconnectMode, ...]
    attempts: int
    duration: float
    messages_replayed: int = 0
    tracks_resumed: int = 0
    tracks_republished: int = 0

    @property
    def tracks_restored(self) -> int:
        """Published tracks that are there again, one way or the other."""
        return self.tracks_resumed + self.tracks_republished

    def __str__(self) -> str:
        tried = f"{' and '.join(self.modes) or self.mode}, {self.attempts} {_plural('attempt', self.attempts)}"
        why = f"lost: {self.cause.detail or self.cause.source} ({self.cause.reason.name})"
        took = f"{self.duration:.2f} s"
        if not self.succeeded:
            end = self.ended_by or self.cause
            return f"given up after {took} ({tried}); {why}; ended by: {end.detail or end.source} ({end.reason.name})"
        back = f"{self.messages_replayed} {_plural('message', self.messages_replayed)} replayed"
        tracks = f"{self.tracks_restored} {_plural('track', self.tracks_restored)} restored"
        return f"back after {took} ({tried}); {why}; {back}, {tracks}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _cause(cause: Cause) -> ReconnectCause:
    return ReconnectCause(cause.source, cause.reason, cause.detail)


ReconnectHook = Callable[[ReconnectReport], Any]


class Episodes:
    """Puts together what the engine tells of an episode and what the room knows of it.

    The engine may lose the connection again while the room still publishes its tracks; to the application, which has
    not been told that the room is connected again, that is one episode.
    """

    def __init__(self) -> None:
        self._began: float | None = None
        self._earlier: list[tuple[Episode, int]] = []

    @property
    def going_on(self) -> bool:
        """Whether one is."""
        return self._began is not None

    def begin(self, now: float) -> None:
        """The connection is lost; said again, it changes nothing.

        Args:
            now: The time, in seconds on a monotonic clock.
        """
        if self._began is None:
            self._began = now

    def connected(self, episode: Episode | None, replayed: int) -> None:
        """The engine is connected again; the room not yet."""
        if episode is not None:
            self._earlier.append((episode, replayed))

    def succeeded(self, now: float, *, published: int, republished: int) -> ReconnectReport | None:
        """The room is connected again.

        Args:
            now: The time.
            published: Tracks of ours that there are.
            republished: Those that were published again.

        Returns:
            The report, unless there was no episode, or the engine told nothing of it.
        """
        # Behind a restart no track goes on as it was.
        restarted = any(episode.mode is Mode.RESTART for episode, _ in self._earlier)
        return self._report(now, None, 0 if restarted else published, republished)

    def failed(self, cause: Cause, episode: Episode | None, replayed: int, now: float) -> ReconnectReport | None:
        """The room is lost.

        Args:
            cause: What ended it.
            episode: The engine's, if one was going on there.
            replayed: Reliable packets sent again in it.
            now: The time.

        Returns:
            The report, unless there was no episode.
        """
        self.connected(episode, replayed)
        return self._report(now, _cause(cause), 0, 0)

    def forget(self) -> None:
        """The application left: there is nothing to report."""
        self._began = None
        self._earlier.clear()

    def _report(
        self, now: float, ended_by: ReconnectCause | None, resumed: int, republished: int
    ) -> ReconnectReport | None:
        began, parts = self._began, list(self._earlier)
        self.forget()
        if not parts:
            return None
        first, last = parts[0][0], parts[-1][0]
        modes: list[ReconnectMode] = []
        for episode, _ in parts:
            modes += [mode.value for mode in episode.tried if mode.value not in modes]
        return ReconnectReport(
            succeeded=ended_by is None,
            cause=_cause(first.cause),
            ended_by=ended_by,
            mode=last.mode.value,
            modes=tuple(modes),
            attempts=sum(episode.attempts for episode, _ in parts),
            duration=last.duration if began is None else now - began,
            messages_replayed=sum(replayed for _, replayed in parts),
            tracks_resumed=resumed,
            tracks_republished=republished,
        )
