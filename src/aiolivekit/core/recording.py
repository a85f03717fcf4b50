"""When in a recording each piece of sound and each picture belongs: the decisions, without a clock or a file.

A recording has a time of its own, in seconds from its beginning. What is received says at which moment of the local
clock it was to be played; libwebrtc's jitter buffers have made up for the network by then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["AudioPlacer", "DelayMeter", "PictureTimes", "Placement", "lip_sync", "video_delay"]

RENDER_SECONDS = 0.010
"""Seconds that libwebrtc puts the time of a picture ahead of when it hands it over."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a block of sound goes.

    Attributes:
        position: The sample of the recording at which it begins.
        skip: Samples of it that are left out, at its beginning.
    """

    position: int
    skip: int


class AudioPlacer:
    """Places the blocks of one track one after another, and sees real gaps.

    A block that is late is no gap: after a stall of the machine blocks come late, and then many at once. There is a gap
    when a whole window of them was late; then what follows is placed where it belongs. A block that is early says that
    those before were placed too late, since nothing is ever early: what is too much is left out.

    Args:
        rate: Samples a second.
        tolerance: Seconds by which blocks may be off.
        window: Seconds of blocks that must all be late.
    """

    def __init__(self, rate: int, *, tolerance: float = 0.03, window: float = 0.5) -> None:
        self._rate = rate
        self._tolerance = round(tolerance * rate)
        self._window = round(window * rate)
        self._next: int | None = None
        self._late: deque[tuple[int, int]] = deque()  # samples of the block, and how late it was
        self._seen = 0
        self._too_late = False  # what is there lies too late, and more than that is left out

    def break_off(self) -> None:
        """What follows has nothing to do with what came before: another connection, another track."""
        self._next = None
        self._late.clear()
        self._seen = 0

    def place(self, time: float, samples: int) -> Placement:
        """Place a block.

        Args:
            time: The second of the recording at which it was played.
            samples: Of a channel.
        """
        due = round(time * self._rate)
        if self._next is None:
            self._next = due
        late = due - self._next
        self._too_late = late < (0 if self._too_late else -self._tolerance)
        skip = min(-late, samples) if self._too_late else 0
        late += skip
        self._late.append((samples, late))
        self._seen += samples
        while self._seen - self._late[0][0] >= self._window:
            self._seen -= self._late.popleft()[0]
        if self._seen >= self._window:
            least = min(each for _, each in self._late)
            if least > self._tolerance:
                self._next += least
                self._late.clear()
                self._seen = 0
        position = self._next
        self._next += samples - skip
        return Placement(position, skip)


class PictureTimes:
    """Says which pictures are written, and with which times: they grow, and there are not more than `fps` a second.

    Args:
        fps: Pictures a second at most, on average.
        still: Seconds after which a picture that stands still is written again.
    """

    def __init__(self, fps: float, *, still: float = 1.0) -> None:
        self._interval = 1 / fps
        self._still = still
        self._due = 0.0
        self._last: float | None = None

    @property
    def last(self) -> float | None:
        """The time of the last picture that was written."""
        return self._last

    def take(self, time: float) -> bool:
        """Say whether a picture of that time is written."""
        slack = self._interval / 2
        if time < 0 or time < self._due - slack or (self._last is not None and time <= self._last):
            return False
        self._due = max(self._due, time - slack) + self._interval
        self._last = time
        return True

    def repeat(self, now: float) -> float | None:
        """Return the time for which what is to be seen is written again, if it stands still.

        It lies back far enough for pictures that are still on their way.
        """
        return self._repeat_until(now - self._still)

    def repeat_before(self, time: float) -> float | None:
        """The same, before a picture of that time is written."""
        return self._repeat_until(time - self._interval)

    def _repeat_until(self, time: float) -> float | None:
        last = -self._still if self._last is None else self._last
        if time < last + self._still:
            return None
        self._last = last + self._still
        self._due = max(self._due, self._last)
        return self._last


class DelayMeter:
    """The mean of what has been added to a sum for each of a number of things, lately.

    Args:
        weight: Of what was measured last, from 0 to 1.
    """

    def __init__(self, weight: float = 0.7) -> None:
        self._weight = weight
        self._sum = 0.0
        self._count = 0.0
        self.value: float | None = None

    def update(self, total: float, count: float) -> None:
        """Take the totals of the stats; those of a new connection begin anew."""
        if count < self._count or total < self._sum:
            self._sum, self._count = 0.0, 0.0
        added, more = total - self._sum, count - self._count
        self._sum, self._count = total, count
        if more <= 0:
            return
        latest = added / more
        self.value = latest if self.value is None else self.value + self._weight * (latest - self.value)


def video_delay(buffered: float | None, decoding: float | None) -> float | None:
    """Return the seconds from a picture's arrival to the time it bears.

    Args:
        buffered: The mean seconds in the jitter buffer.
        decoding: The mean seconds in the decoder.
    """
    return None if buffered is None else buffered + (decoding or 0.0) + RENDER_SECONDS


def lip_sync(audio: float | None, video: float | None, limit: float = 1.0) -> float:
    """Return the seconds by which pictures are to be written later than the time they bear.

    Both have come through the same network, so what differs is what each waited for.

    Args:
        audio: The mean seconds in the jitter buffer of the sound they belong to; `None` if there is none, or it is not
            known yet.
        video: The delay of the pictures.
        limit: What is beyond has another cause.
    """
    if audio is None or video is None:
        return 0.0
    return max(-limit, min(limit, audio - video))
