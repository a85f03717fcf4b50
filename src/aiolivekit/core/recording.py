"""When in a recording each piece of sound and each picture belongs: the decisions, without a clock or a file.

A recording has a time of its own, in seconds from its beginning. What is received says at which moment of the local
clock it was to be played; libwebrtc's jitter buffers have made up for the network by then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["AudioPlacer", "MeanMeter", "PictureTimes", "Placement", "PlayDelay", "lip_sync"]


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

    @property
    def soonest(self) -> float:
        """The earliest time of a picture that would be written now."""
        return self._due - self._interval / 2

    def take(self, time: float) -> bool:
        """Say whether a picture of that time is written."""
        slack = self._interval / 2
        if time < 0 or time < self.soonest or (self._last is not None and time <= self._last):
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


class MeanMeter:
    """The mean of what has been added to a sum for each of a number of things, since one looked last."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0.0

    def update(self, total: float, count: float) -> float | None:
        """Take the totals of the stats and return the mean; `None` if there is nothing new."""
        if count < self._count or total < self._sum:  # another connection, which begins anew
            self._sum, self._count = 0.0, 0.0
        added, more = total - self._sum, count - self._count
        self._sum, self._count = total, count
        return added / more if more > 0 else None


class PlayDelay:
    """How long the media of a track wait between the network and being played, at any moment.

    Packets bear RTP timestamps, so it is known at every moment how far playing is behind some fixed time, but not where
    that time is. The mean wait of some packets says it, too high by what the network had delayed just these; the packet
    with the least delay is the one to believe.

    Args:
        rate: Ticks of the RTP timestamps in a second.
        memory: Seconds for which a packet is believed: the clocks of both ends run apart.
    """

    def __init__(self, rate: int, *, memory: float = 60.0) -> None:
        self._rate = rate
        self._memory = memory
        self._last: int | None = None
        self._ticks = 0
        self._offset: float | None = None
        self._origins: deque[tuple[float, float]] = deque()  # when, and the lowest origin since

    def played(self, time: float, timestamp: int) -> None:
        """Media with that RTP timestamp were played at `time`, in seconds."""
        if self._last is None:
            self._ticks = timestamp
        else:
            # 32 bits, which wrap around.
            self._ticks += (timestamp - self._last + (1 << 31)) % (1 << 32) - (1 << 31)
        self._last = timestamp
        self._offset = time - self._ticks / self._rate

    def waited(self, now: float, seconds: float) -> None:
        """What was played lately had waited so long, on average."""
        if self._offset is None:
            return
        origin = self._offset - seconds
        while self._origins and self._origins[-1][1] >= origin:
            self._origins.pop()
        self._origins.append((now, origin))
        while now - self._origins[0][0] > self._memory:
            self._origins.popleft()

    @property
    def value(self) -> float | None:
        """Seconds that what is played now has waited; `None` while it is not known."""
        if self._offset is None or not self._origins:
            return None
        return self._offset - self._origins[0][1]


def lip_sync(audio: float | None, video: float | None, limit: float = 1.0) -> float:
    """Return the seconds by which pictures are to be written later than the time they bear.

    Both have come through the same network, so what differs is what each waited for.

    Args:
        audio: What the sound they belong to waited; `None` if there is none, or it is not known yet.
        video: What the pictures waited, up to the time they bear.
        limit: What is beyond has another cause.
    """
    if audio is None or video is None:
        return 0.0
    return max(-limit, min(limit, audio - video))
