"""Audio sources of the official SDK that are used again instead of released.

Releasing one joins a native thread that ticks every 10 ms; once in some hundred times that thread reads what the
release has freed already and turns for ever, at real-time priority, and the process that waits for it hangs
(livekit 1.2.1, seen as a thread "AudioSourceCapture" at 100 % with the caller in `AudioSource.aclose`).
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import Any

_Key = tuple[int, int, int]

_idle: dict[_Key, list[dict[str, Any]]] = defaultdict(list)
_lent: list[tuple[_Key, Any]] = []


def keep() -> None:
    """Have every `livekit.rtc.AudioSource` made from now on outlive its test, if the package was imported."""
    rtc: Any = sys.modules.get("livekit.rtc")
    if rtc is None or rtc.AudioSource.__module__ == __name__:
        return

    class AudioSource(rtc.AudioSource):  # type: ignore[misc]
        def __init__(
            self,
            sample_rate: int,
            num_channels: int,
            queue_size_ms: int = 1000,
            loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            key = (sample_rate, num_channels, queue_size_ms)
            if _idle[key]:
                self.__dict__.update(_idle[key].pop())
                self._loop = loop or asyncio.get_event_loop()
                self._last_capture = self._q_size = 0.0
                self._join_handle = self._join_fut = None
                self.clear_queue()
            else:
                super().__init__(sample_rate, num_channels, queue_size_ms, loop)
            _lent.append((key, self))

        async def aclose(self) -> None:
            self.clear_queue()

    rtc.AudioSource = AudioSource


def take_back() -> None:
    """What a test borrowed is idle when it is over, whoever still holds it."""
    for key, source in _lent:
        _idle[key].append(source.__dict__.copy())
    _lent.clear()
