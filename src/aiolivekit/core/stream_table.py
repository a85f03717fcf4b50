"""The incoming data streams there are: who may open how many, what they may hold, when one is given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from ..errors import StreamAbortedError, StreamDamagedError, StreamError, StreamTimeoutError, StreamTooLargeError
from ..options import DataStreamOptions
from .stream_join import StreamJoin

__all__ = ["DEFAULT_MAX_PAYLOAD", "RETURN_GRACE", "Sender", "StreamTable"]

DEFAULT_MAX_PAYLOAD = 5_000_000_000
"""Bytes of content of a stream at most, as in LiveKit's own SDKs."""
RETURN_GRACE = 30.0
"""Seconds in which a stream must go on whose sender, or receiver, comes back with a new session."""


class Sender(NamedTuple):
    """Who sent a packet, as the server says it.

    Agents may speak for others. Then the header bears the identity they speak for, and chunks and trailer their own;
    what is the same on all of them is the sid, and that changes when the sender's session is restarted.
    """

    identity: str
    sid: str = ""


class _Entry:
    __slots__ = ("account", "encryption", "id", "identity", "return_by", "sid", "touched")

    def __init__(self, stream_id: str, sender: Sender, encryption: int, now: float, *, for_another: bool) -> None:
        self.id = stream_id
        self.sid = sender.sid
        self.identity = None if for_another and sender.sid else sender.identity
        self.account = sender.sid or sender.identity
        """Under which its sender's streams are counted."""
        self.encryption = encryption
        self.touched = now
        self.return_by: float | None = None

    def is_of(self, sender: Sender) -> bool:
        """Whether it is a stream of this sender."""
        if sender.sid and self.sid == sender.sid:
            return True
        # Hidden senders have no identity; without a sid either there is nothing to tell them by.
        return self.identity == sender.identity and bool(sender.identity or not (sender.sid or self.sid))


class StreamTable:
    """The streams that are open, and those that ended and are not read yet.

    Streams belong to their sender: another one's packets with the same stream id are not theirs. Methods return the
    streams of which there is news.

    Args:
        limits: What is taken of a sender, and held.
    """

    def __init__(self, limits: DataStreamOptions) -> None:
        self._limits = limits
        self._open: dict[str, list[StreamJoin]] = {}
        self._live: dict[StreamJoin, _Entry] = {}
        self._counts: Counter[str] = Counter()
        self._interrupted = False
        self.held = 0
        """Bytes that all of them take up."""
        self.refused = 0
        """Streams that were not taken."""
        self.stray = 0
        """Packets of no stream that is open."""
        self.duplicates = 0
        """Chunks that came twice."""

    def __len__(self) -> int:
        return len(self._live)

    @property
    def max_payload(self) -> int:
        """Bytes of content of one stream at most."""
        limit = self._limits.max_payload_byte_length
        return DEFAULT_MAX_PAYLOAD if limit is None else limit

    # -- packets --

    def open(
        self,
        sender: Sender,
        stream_id: str,
        stream: StreamJoin,
        now: float,
        *,
        encryption: int = 0,
        for_another: bool = False,
    ) -> bool:
        """Take a stream, unless its sender has too many, or one of this id, open.

        Args:
            sender: Whose it is.
            stream_id: Its id.
            stream: Its content.
            now: The time.
            encryption: How its header was encrypted.
            for_another: Whether the identity may be that of whom the sender speaks for.
        """
        entry = _Entry(stream_id, sender, encryption, now, for_another=for_another)
        if self._find(sender, stream_id) is not None or self._counts[entry.account] >= self._limits.max_open_streams:
            self.refused += 1
            return False
        if stream.over:
            return True
        self._live[stream] = entry
        self.held += stream.held
        if not stream.ended:
            self._open.setdefault(stream_id, []).append(stream)
            self._counts[entry.account] += 1
        return True

    def _find(self, sender: Sender, stream_id: str) -> StreamJoin | None:
        for stream in self._open.get(stream_id, ()):
            if self._live[stream].is_of(sender):
                return stream
        return None

    def chunk(
        self, sender: Sender, stream_id: str, index: int, content: bytes, now: float, encryption: int = 0
    ) -> list[StreamJoin]:
        """Take a chunk."""
        stream = self._find(sender, stream_id)
        if stream is None:
            self.stray += 1
            return []
        entry = self._live[stream]
        entry.identity, entry.sid = sender
        entry.touched, entry.return_by = now, None
        before, duplicates = stream.held, stream.duplicates
        if encryption != entry.encryption:
            stream.fail(StreamDamagedError("a part of the stream is encrypted otherwise than its beginning"))
        else:
            stream.chunk(index, content)
        self.duplicates += stream.duplicates - duplicates
        self._settle(stream, before)
        return [stream, *self.relieve()]

    def trailer(self, sender: Sender, stream_id: str, reason: str, attributes: Mapping[str, str]) -> list[StreamJoin]:
        """Take a trailer."""
        stream = self._find(sender, stream_id)
        if stream is None:
            self.stray += 1
            return []
        before = stream.held
        stream.attributes.update(attributes)
        stream.end(reason)
        self._settle(stream, before)
        return [stream]

    def relieve(self) -> list[StreamJoin]:
        """End streams while all together take up too much: the largest of the sender with the most."""
        ended: list[StreamJoin] = []
        while self.held > self._limits.max_unread_byte_length and self._live:
            shares: Counter[str] = Counter()
            for stream, entry in self._live.items():
                shares[entry.account] += stream.held
            [(greedy, _)] = shares.most_common(1)
            victim = max(
                (stream for stream, entry in self._live.items() if entry.account == greedy), key=lambda each: each.held
            )
            words = f"more than {self._limits.max_unread_byte_length} bytes of streams had arrived and were not read"
            self._fail(victim, StreamTooLargeError(words), drop=True)
            ended.append(victim)
        return ended

    # -- reading --

    def take(self, stream: StreamJoin) -> bytes | None:
        """Return the next piece of a stream's content, if there is one."""
        before = stream.held
        piece = stream.take()
        self._settle(stream, before)
        return piece

    def release(self, stream: StreamJoin) -> None:
        """Nobody will read the stream any more."""
        if stream in self._live:
            self.held -= stream.held
            self._forget(stream)

    # -- who is here, and when --

    def left(self, sender: Sender, now: float, *, returning: bool) -> list[StreamJoin]:
        """A sender left.

        Args:
            sender: Who.
            now: The time.
            returning: Whether it may come back at once with a new session, and go on.
        """
        if self._interrupted:
            return []
        streams = [stream for stream in self._all_open() if self._live[stream].is_of(sender)]
        if returning:
            self._await_return(streams, now)
            return []
        return self._fail_all(streams, StreamAbortedError(f"{sender.identity!r} left in the middle of the stream"))

    def interrupted(self) -> None:
        """Our session is being replaced by another; who leaves meanwhile only seems to."""
        self._interrupted = True

    def recovered(self, present: Collection[Sender], now: float) -> list[StreamJoin]:
        """Our new session stands.

        Args:
            present: Who is in the room.
            now: The time.
        """
        if not self._interrupted:
            return []
        self._interrupted = False
        self._await_return(self._all_open(), now)
        orphans = [
            stream for stream in self._all_open() if not any(self._live[stream].is_of(sender) for sender in present)
        ]
        return self._fail_all(orphans, StreamAbortedError("its sender left in the middle of the stream"))

    def close(self, error: StreamError) -> list[StreamJoin]:
        """No more will come of any stream; what has arrived can still be read."""
        return self._fail_all(self._all_open(), error)

    @property
    def deadline(self) -> float | None:
        """When to `poll`."""
        return min((at for stream in self._all_open() if (at := self._expiry(stream)) is not None), default=None)

    def poll(self, now: float) -> list[StreamJoin]:
        """End the streams that have stood still for too long."""
        ended: list[StreamJoin] = []
        for stream in self._all_open():
            expiry = self._expiry(stream)
            if expiry is not None and expiry <= now:
                returning = self._live[stream].return_by is not None
                words = "the stream did not go on after a restart" if returning else "nothing more came of the stream"
                self._fail(stream, StreamTimeoutError(words))
                ended.append(stream)
        return ended

    # -- inside --

    def _all_open(self) -> list[StreamJoin]:
        return [stream for streams in self._open.values() for stream in streams]

    def _await_return(self, streams: Iterable[StreamJoin], now: float) -> None:
        for stream in streams:
            self._live[stream].return_by = now + RETURN_GRACE

    def _expiry(self, stream: StreamJoin) -> float | None:
        entry, idle = self._live[stream], self._limits.idle_timeout
        moments = [entry.return_by, None if idle is None else entry.touched + idle]
        return min((moment for moment in moments if moment is not None), default=None)

    def _fail_all(self, streams: list[StreamJoin], error: StreamError) -> list[StreamJoin]:
        for stream in streams:
            self._fail(stream, error)
        return streams

    def _fail(self, stream: StreamJoin, error: StreamError, *, drop: bool = False) -> None:
        before = stream.held
        stream.fail(error, drop=drop)
        self._settle(stream, before)

    def _settle(self, stream: StreamJoin, before: int) -> None:
        if stream in self._live:
            self.held += stream.held - before
            if stream.over:
                self._forget(stream)
            elif stream.ended:
                self._shut(stream, self._live[stream])

    def _shut(self, stream: StreamJoin, entry: _Entry) -> None:
        streams = self._open.get(entry.id, [])
        if stream not in streams:
            return
        streams.remove(stream)
        if not streams:
            del self._open[entry.id]
        self._counts[entry.account] -= 1
        if not self._counts[entry.account]:
            del self._counts[entry.account]

    def _forget(self, stream: StreamJoin) -> None:
        self._shut(stream, self._live.pop(stream))
