"""What the speaker plays, paired with what the microphone hears: the decisions, without a clock."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["EchoReference"]

BlockT = TypeVar("BlockT")

_STALLED_AFTER = 100
"""Blocks played while nothing was recorded, after which recording counts as paused: a second."""

_WINDOW = 100
"""Recorded blocks over which the surplus is watched: a second."""


class EchoReference(Generic[BlockT]):
    """Hands out played blocks one for one with recorded ones.

    The echo canceller takes both in pairs, while devices deliver them in bursts and with gaps of their own. It learns
    by itself how late the echo comes, but what was played must reach it before its echo does. So played blocks are
    given as early as they can be: silence stands in for those that have not come, and a surplus that is never used,
    such as is left when late blocks come after silence stood in for them, is dropped.
    """

    def __init__(self) -> None:
        self._blocks: deque[BlockT] = deque()
        self._least = 0  # blocks left after a recorded one, at least, over the window so far
        self._seen = 0
        self._paused = False
        self.dropped = 0
        """Blocks dropped because they were too many."""

    def __len__(self) -> int:
        return len(self._blocks)

    def played(self, block: BlockT) -> None:
        """Take a block that is played."""
        if len(self._blocks) >= _STALLED_AFTER:
            self._paused = True
        if self._paused:
            # Whatever is recorded next has nothing to do with what was played long before.
            self.dropped += len(self._blocks)
            self._blocks.clear()
        self._blocks.append(block)

    def recorded(self) -> BlockT | None:
        """Return the block that goes with the next recorded one; none if silence has to stand in."""
        if self._paused:
            self._paused = False
            self._start_window()
        block = self._blocks.popleft() if self._blocks else None
        left = len(self._blocks)
        self._least = left if self._seen == 0 else min(self._least, left)
        self._seen += 1
        if self._seen >= _WINDOW:
            for _ in range(self._least):
                self._blocks.popleft()
            self.dropped += self._least
            self._start_window()
        return block

    def clear(self) -> None:
        """Forget what was played."""
        self._blocks.clear()
        self._paused = False
        self._start_window()

    def _start_window(self) -> None:
        self._least = self._seen = 0
