"""Takes the audio of all tracks that one event loop reads, each time it is due.

libwebrtc hands out the audio of all remote tracks of a process together, every 10 ms. Being told so by wrtc, track by
track, costs more than decoding the sound. But every chunk carries the time at which it was handed out, so the next ones
are no surprise: a timer that goes off just after them finds them all, in one turn of the loop. As long as nobody has a
use for the next ones (streams of long frames), it lets the loop sleep. Where nothing comes any more, or the times are
of a clock we do not know, it lets wrtc tell again.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Protocol

__all__ = ["AudioPump", "PumpedReader", "pump_of"]

_PERIOD_US = 10_000

_MARGIN_US = 400
"""How long after the last track's chunk of before the next look is: as late as the tracks of before may be now."""

_AGAIN = 0.001
"""Seconds after a look that came too early."""

_LONGEST_PAUSE = 0.1
"""Seconds without a look, whatever the readers say: the end of a track should be seen."""

_PATIENCE = 8
"""Looks in vain before wrtc has to tell again."""


class PumpedReader(Protocol):
    """Who is looked after."""

    flowing: bool
    """Whether there was something last time."""

    def take(self) -> int | None:
        """Take what has come in; return the time of the last in microseconds, 0 for nothing, `None` at the end."""

    def pause(self) -> float:
        """Return for how many seconds nothing that comes in can be of use."""

    def tell_again(self) -> None:
        """Have wrtc tell when something comes in; what is there already must be taken afterwards."""


class AudioPump:
    """Looks for what has come in, for readers that it holds weakly.

    Args:
        loop: Where the readers live. Everything here is to be called on it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._readers: tuple[weakref.ref[PumpedReader], ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._in_vain = 0

    def add(self, reader: PumpedReader) -> None:
        """Look after a reader, at once."""
        self._readers = (*self._readers, weakref.ref(reader))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.wake()

    def remove(self, reader: PumpedReader) -> None:
        """Look after it no longer."""
        self._readers = tuple(ref for ref in self._readers if ref() not in (None, reader))
        if not self._readers and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self) -> None:
        """Something may have come in."""
        if self._timer is None:
            self._in_vain = 0
            self._look_in(0)

    def _look_in(self, seconds: float) -> None:
        loop = self._loop()
        if loop is not None:
            self._timer = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        newest, missing, pause = 0, False, _LONGEST_PAUSE
        gone: list[weakref.ref[PumpedReader]] = []
        for ref in self._readers:
            reader = ref()
            stamp = None if reader is None else reader.take()
            if reader is None or stamp is None:
                gone.append(ref)
            elif stamp:
                reader.flowing = True
                newest = max(newest, stamp)
                pause = min(pause, reader.pause())
            else:
                missing |= reader.flowing
                reader.flowing = False
                pause = 0.0
        if gone:
            self._readers = tuple(ref for ref in self._readers if not any(ref is each for each in gone))
        if not self._readers or self._timer is not None:
            return
        if not newest:
            self._in_vain += 1
            if self._in_vain < _PATIENCE:
                self._look_in(_AGAIN * self._in_vain)
            else:
                self._let_tell()
            return
        self._in_vain = 0
        age = time.monotonic_ns() // 1000 - newest
        if not 0 <= age < _PERIOD_US * 100:
            self._let_tell()
        elif missing:
            # Its chunk is a little late; the others' next ones are not there yet.
            self._look_in(_AGAIN)
        else:
            skipped = int(pause * 1e6) // _PERIOD_US
            self._look_in(((skipped + 1) * _PERIOD_US - age % _PERIOD_US + _MARGIN_US) / 1e6)

    def _let_tell(self) -> None:
        for ref in self._readers:
            if (reader := ref()) is not None:
                reader.tell_again()


_pumps: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AudioPump] = weakref.WeakKeyDictionary()


def pump_of(loop: asyncio.AbstractEventLoop) -> AudioPump:
    """Return the pump of a loop."""
    pump = _pumps.get(loop)
    if pump is None:
        pump = _pumps[loop] = AudioPump(loop)
    return pump
