"""What of a file is played when: the decisions of a player, without a clock, a thread or a file.

Time is counted in samples since the player began, and goes on through loops and pauses. Sound leads: pictures are shown
when the sound they belong to is. What is decoded comes in with its time and leaves in periods of one hundredth of a
second; where there is nothing to be played yet, time stands still, for sound and picture alike.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Playback", "Played", "Reserve"]

PictureT = TypeVar("PictureT")

_SAMPLE_SIZE = 2


@dataclass(frozen=True, slots=True)
class Reserve:
    """How much is decoded ahead.

    Files interleave sound and picture unevenly: one kind may be there for many seconds before the other comes. So
    decoding goes on while either is short, up to the limits.

    Attributes:
        audio: Samples a channel of sound that are enough.
        pictures: Pictures that are enough.
        audio_limit: Samples a channel that are never exceeded by more than one decoded frame.
        pictures_limit: Pictures that are never exceeded.
        start: Samples a channel without which playing does not begin, or begin again after it stood still.
    """

    audio: int = 24_000
    pictures: int = 8
    audio_limit: int = 30 * 48_000
    pictures_limit: int = 40
    start: int = 4_800


@dataclass(frozen=True, slots=True)
class Played(Generic[PictureT]):
    """What leaves in some periods.

    Attributes:
        audio: Interleaved samples; `None` where there is no sound, or time stands still.
        picture: The picture to be shown now, if there is another one.
        skipped: Pictures whose time came and went within these periods, or before they were decoded.
        stood_still: Whether time stood still for want of decoded media.
    """

    audio: bytes | None
    picture: PictureT | None
    skipped: int
    stood_still: bool


class Playback(Generic[PictureT]):
    """Decoded media that wait for their time.

    Args:
        channels: Of the sound; 0 if there is none.
        has_video: Whether there are pictures.
        rate: Samples of a channel a second.
        picture_delay: Samples by which pictures are shown later than the sound they belong to.
        reserve: How much is decoded ahead.
    """

    def __init__(
        self, *, channels: int, has_video: bool, rate: int, picture_delay: int = 0, reserve: Reserve | None = None
    ) -> None:
        self._channels = channels
        self._has_video = has_video
        self._period = rate // 100
        self._picture_delay = picture_delay
        self._reserve = reserve or Reserve()
        self._now = 0
        self._sound = _Sound(channels)
        self._pictures: deque[tuple[int, PictureT]] = deque()
        self._pictures_until = 0
        self._end: int | None = None
        self._ready = False

    @property
    def now(self) -> int:
        """The time, in samples."""
        return self._now

    @property
    def ended(self) -> bool:
        """Whether all has been played."""
        return self._end is not None and self._now >= self._end + (self._picture_delay if self._has_video else 0)

    @property
    def wants_more(self) -> bool:
        """Whether more is to be decoded now."""
        reserve, ahead = self._reserve, self._sound.end - self._now
        if self._end is not None or ahead >= reserve.audio_limit or len(self._pictures) >= reserve.pictures_limit:
            return False
        lacks_sound = self._channels > 0 and ahead < reserve.audio
        return lacks_sound or (self._has_video and len(self._pictures) < reserve.pictures)

    @property
    def ready(self) -> bool:
        """Whether enough is there to begin."""
        if self._end is not None or self._full:
            return True
        has_sound = not self._channels or self._sound.end - self._now >= self._reserve.start
        return has_sound and (not self._has_video or bool(self._pictures))

    @property
    def _full(self) -> bool:
        """Whether no more is decoded, though something may be short: it is not in the file."""
        reserve = self._reserve
        return len(self._pictures) >= reserve.pictures_limit or self._sound.end - self._now >= reserve.audio_limit

    def push_audio(self, start: int, samples: bytes) -> None:
        """Take sound that begins at `start`; what overlaps with what is there already is left out."""
        self._sound.push(start, samples)

    def push_picture(self, time: int, picture: PictureT) -> None:
        """Take a picture, in the order of their times."""
        self._pictures.append((time, picture))
        self._pictures_until = max(self._pictures_until, time)

    def finish(self, end: int) -> None:
        """Nothing follows; the last of it is over at `end`."""
        self._end = max(end, self._now)

    def restart(self) -> None:
        """Forget what waits: what comes from now on begins where the clock is (after a seek)."""
        self._sound.clear(self._now)
        self._pictures.clear()
        self._pictures_until = self._now
        self._end = None
        self._ready = False

    def advance(self, periods: int) -> Played[PictureT]:
        """Play so many periods, or fewer if that is all there is."""
        played = 0
        while played < periods and self._may_advance(self._now + played * self._period):
            played += 1
        stood_still = played < periods and not self.ended
        if stood_still:
            self._ready = False  # rather one interruption than many short ones
        if not played:
            return Played(None, None, 0, stood_still)
        count = played * self._period
        audio = self._sound.take(self._now, count) if self._channels else None
        self._now += count
        picture, skipped = self._due()
        return Played(audio, picture, skipped, stood_still)

    def _may_advance(self, now: int) -> bool:
        if not self._ready:
            self._ready = self.ready
        if not self._ready:
            return False
        if self._end is not None:
            return now < self._end + (self._picture_delay if self._has_video else 0)
        if self._full:
            return True
        if self._channels:
            return self._sound.end - now >= self._period
        return self._pictures_until >= now

    def _due(self) -> tuple[PictureT | None, int]:
        picture, taken = None, 0
        while self._pictures and self._pictures[0][0] + self._picture_delay < self._now:
            picture = self._pictures.popleft()[1]
            taken += 1
        return picture, max(taken - 1, 0)


class _Sound:
    """Samples with their times; what is missing between them is silence."""

    def __init__(self, channels: int) -> None:
        self._size = channels * _SAMPLE_SIZE
        self._blocks: deque[tuple[int, bytes]] = deque()
        self.end = 0

    def clear(self, at: int) -> None:
        self._blocks.clear()
        self.end = at

    def push(self, start: int, samples: bytes) -> None:
        overlap = self.end - start
        if overlap > 0:
            samples = samples[overlap * self._size :]
            start = self.end
        if samples:
            self._blocks.append((start, samples))
            self.end = start + len(samples) // self._size

    def take(self, start: int, count: int) -> bytes:
        """Return `count` samples from `start` on; what comes before is dropped."""
        size, end, position = self._size, start + count, start
        parts: list[bytes] = []
        while self._blocks and position < end:
            begin, samples = self._blocks[0]
            if begin >= end:
                break
            self._blocks.popleft()
            if begin > position:
                parts.append(bytes((begin - position) * size))
                position = begin
            part = samples[(position - begin) * size :]
            if not part:
                continue  # its time is over
            wanted = (end - position) * size
            if len(part) > wanted:
                self._blocks.appendleft((end, part[wanted:]))
                part = part[:wanted]
            parts.append(part)
            position += len(part) // size
        if position < end:
            parts.append(bytes((end - position) * size))
        self.end = max(self.end, end)
        return parts[0] if len(parts) == 1 else b"".join(parts)
