"""What an audio source has captured and not yet played: the decisions, without a clock, a thread or a lock."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Pending", "PlayoutQueue"]

TokenT = TypeVar("TokenT")


class Pending(Generic[TokenT]):
    """A captured frame whose capture waits until the queue has shrunk.

    Attributes:
        token: Whom to tell.
        end: The position at which the frame ends.
    """

    __slots__ = ("end", "token")

    def __init__(self, token: TokenT, end: int) -> None:
        self.token = token
        self.end = end


class PlayoutQueue(Generic[TokenT]):
    """Takes frames of any length and gives chunks of one.

    A frame is queued at once, in the order of capture, and its capture waits until no more than `limit` is left up to
    its end. So a full queue never runs dry because of the hop to the loop on which the capture waits.

    Positions count bytes from the start of the source.

    Args:
        chunk_size: Bytes of a chunk.
        limit: Bytes that may be queued without waiting.
    """

    def __init__(self, chunk_size: int, limit: int) -> None:
        self._chunk_size = chunk_size
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._offset = 0  # what of the first frame has been played
        self._pushed = 0
        self._played = 0
        self._pending: deque[Pending[TokenT]] = deque()

    def __len__(self) -> int:
        """Return the bytes that are queued."""
        return self._pushed - self._played

    def room(self, ahead: int = 0) -> int:
        """Return how many bytes may still be pushed without waiting; below zero, what was pushed has to wait.

        Args:
            ahead: Bytes that were popped before they were due, and count as if they were still here.
        """
        return self._limit - len(self) - ahead

    @property
    def waits(self) -> bool:
        """Whether any capture waits."""
        return bool(self._pending)

    def push(self, frame: bytes) -> bool:
        """Queue a frame; return whether its capture is to wait (see `wait`)."""
        self._frames.append(frame)
        self._pushed += len(frame)
        return self.room() < 0

    def wait(self, token: TokenT) -> Pending[TokenT]:
        """Have `token` told (see `released`) when the frame just pushed fits."""
        pending = Pending(token, self._pushed)
        self._pending.append(pending)
        return pending

    def pop(self, chunks: int = 1) -> bytes | None:
        """Take the next chunk, or so many of them in one piece; nothing if less is queued."""
        size = chunks * self._chunk_size
        if self._pushed - self._played < size:
            return None
        frames, offset = self._frames, self._offset
        first = frames[0]
        self._played += size
        end = offset + size
        if end < len(first):
            self._offset = end
            return first[offset:end]
        frames.popleft()
        self._offset = 0
        if end == len(first):
            return first[offset:]
        return self._join(first[offset:], size)

    def _join(self, head: bytes, size: int) -> bytes:
        parts = [head]
        missing = size - len(head)
        while missing:
            frame = self._frames[0]
            if len(frame) > missing:
                self._offset = missing
                parts.append(frame[:missing])
                break
            self._frames.popleft()
            parts.append(frame)
            missing -= len(frame)
        return b"".join(parts)

    def pop_rest(self) -> bytes | None:
        """Take what is left if it is less than a chunk, with silence for the rest."""
        if not len(self):
            return None
        self.pad()
        return self.pop()

    def pad(self) -> None:
        """Queue silence up to a whole chunk."""
        if rest := len(self) % self._chunk_size:
            self.push(bytes(self._chunk_size - rest))

    def released(self, ahead: int = 0) -> list[TokenT]:
        """Return whom to tell that their frames fit by now, in the order of capture (`ahead` is that of `room`)."""
        tokens: list[TokenT] = []
        while self._pending and self._pending[0].end - self._played + ahead <= self._limit:
            tokens.append(self._pending.popleft().token)
        return tokens

    def retract(self, pending: Pending[TokenT]) -> None:
        """Take back what has not been played of a frame whose capture still waits; others are ignored."""
        try:
            position = self._pending.index(pending)
        except ValueError:
            return
        del self._pending[position]
        start = self._played - self._offset
        for index in range(len(self._frames)):
            start += len(self._frames[index])
            if start == pending.end:
                break
        else:  # it was popped before it was due
            return
        removed = len(self._frames[index])
        if index == 0:
            removed -= self._offset
            self._offset = 0
        del self._frames[index]
        self._pushed -= removed
        for later in list(self._pending)[position:]:
            later.end -= removed

    def clear(self) -> list[TokenT]:
        """Drop everything; return who waited."""
        self._frames.clear()
        self._offset = 0
        self._played = self._pushed
        return self.released()
