"""Audio in and out of libwebrtc."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import webrtc

from . import runtime
from .audio_pump import pump_of
from .track_reader import MediaSink, TrackReader

__all__ = ["MAX_SAMPLE_RATE", "MIN_SAMPLE_RATE", "AudioChunk", "AudioReader", "LocalAudio"]

MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 384_000
"""The rates libwebrtc takes. It cuts at whole hundredths of them, so a rate must be a multiple of 100."""

AudioChunk: TypeAlias = tuple[bytes, int, int, int, int, int]
"""What a reader reads: interleaved samples, bits of one, rate, channels, samples of a channel, time in microseconds."""

_LOOP_STALL_CHUNKS = 500
"""Chunks of 10 ms libwebrtc keeps for a blocked loop."""


class LocalAudio:
    """Audio of ours: a track for senders, and the way to write to it.

    `write(samples, sample_rate, num_channels, samples_per_channel)` sends interleaved 16-bit samples right away. It
    neither waits nor paces, so the caller keeps the clock. It may be called from any thread, and does nothing after
    `close`.
    """

    __slots__ = ("_generator", "write")

    write: Callable[[bytes, int, int, int], None]

    def __init__(self) -> None:
        runtime.check()
        self._generator = webrtc.MediaStreamTrackGenerator("audio")
        # Past the W3C stream, which costs more than ten times the write itself.
        self.write = self._generator._generator.writeAudio

    @property
    def media_track(self) -> webrtc.MediaStreamTrack:
        """The track to be given to senders, of any number of connections."""
        return self._generator

    def close(self) -> None:
        """End the track. Twice is once."""
        self._generator._generator.close()


class AudioReader(TrackReader[AudioChunk]):
    """Reads the decoded audio of a track in chunks of 10 ms.

    Args:
        media_track: The track.
        sink: Takes the chunks.
    """

    def __init__(self, media_track: webrtc.MediaStreamTrack, sink: MediaSink[AudioChunk]) -> None:
        super().__init__(media_track, sink, kind="audio", queue_size=_LOOP_STALL_CHUNKS)
        self.flowing = False
        self._pump = pump_of(asyncio.get_running_loop())
        self._pump.add(self)

    def close(self) -> None:
        """Hand over what has come in and stop reading; the sink is not told of the end. Twice is once."""
        super().close()
        self._pump.remove(self)

    # What the pump calls.

    def take(self) -> int | None:
        """Hand over what has come in (`PumpedReader`)."""
        last = self._read()
        if self._closed:
            return None
        return 0 if last is None else last[5]

    def pause(self) -> float:
        """Return for how many seconds nothing that comes in can be of use (`PumpedReader`)."""
        sink = self._sink()
        return 0.0 if sink is None else sink._pause()

    def tell_again(self) -> None:
        """Have wrtc tell when something comes in (`PumpedReader`)."""
        self._acknowledge()
        self._read()

    def _told(self) -> None:
        self._pump.wake()
