"""Films whose sound and pictures show the time: once a second a white picture and a beep, at the same moment.

Each second has a beep of its own pitch, so that a mark of the sound and one of the pictures are known to belong
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RATE = 48_000
FPS = 30
MARK = 0.1
"""Seconds a mark lasts."""

_PITCHES = tuple(600 + 200 * number for number in range(10))
_LOUD = 2_000
_BRIGHT = 120
_STEP = RATE // 1000


@dataclass(frozen=True)
class Beep:
    """When a beep began, in seconds, and which of the ten it is."""

    time: float
    number: int


def write_film(
    path: Path,
    seconds: int,
    *,
    size: tuple[int, int] = (320, 240),
    video: str | None = "libx264",
    audio: str | None = "aac",
    channels: int = 1,
) -> Path:
    """Write a film with a mark at the beginning of each second."""
    import av

    with av.open(str(path), "w") as container:
        pictures: Any = None
        sound: Any = None
        if video is not None:
            pictures = container.add_stream(video, rate=FPS)
            pictures.width, pictures.height, pictures.pix_fmt = *size, "yuv420p"
            pictures.codec_context.gop_size = FPS
        if audio is not None:
            sound = container.add_stream(audio, rate=RATE, layout="stereo" if channels == 2 else "mono")
        for second in range(seconds):
            if pictures is not None:
                for number in range(FPS):
                    frame = _picture(av, size, bright=number < MARK * FPS)
                    frame.pts = second * FPS + number
                    container.mux(pictures.encode(frame))
            if sound is not None:
                frame = av.AudioFrame.from_ndarray(
                    np.repeat(_second(second), channels).reshape(1, -1),
                    format="s16",
                    layout="stereo" if channels == 2 else "mono",
                )
                frame.sample_rate, frame.pts = RATE, second * RATE
                container.mux(sound.encode(frame))
        for stream in (pictures, sound):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


def _picture(av: Any, size: tuple[int, int], *, bright: bool) -> Any:
    width, height = size
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = 220 if bright else 30
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def _second(number: int) -> np.ndarray:
    time = np.arange(RATE) / RATE
    return (np.sin(2 * np.pi * _PITCHES[number % 10] * time) * (time < MARK) * 16_000).astype(np.int16)


def second_of_sound(number: int) -> np.ndarray:
    """A second that begins with the beep of that number, at `RATE`."""
    return _second(number)


def beeps(blocks: Iterable[tuple[float, np.ndarray]]) -> list[Beep]:
    """Return the beeps in mono sound that comes in blocks, each with its time in seconds."""
    found: list[Beep] = []
    began, quiet_since, gathered = 0.0, -1.0, []
    for time, samples in blocks:
        for start in range(0, len(samples), _STEP):
            part = samples[start : start + _STEP]
            now = time + start / RATE
            if np.abs(part.astype(np.int32)).max(initial=0) > _LOUD:
                if not gathered and now - quiet_since < 0.2 and quiet_since >= 0:
                    continue  # the end of one that is known
                if not gathered:
                    began = now
                gathered.append(part)
                if len(gathered) == 60:
                    found.append(Beep(began, _number(np.concatenate(gathered))))
                    gathered, quiet_since = [], now
            elif gathered and now - began > MARK:
                gathered = []
            if quiet_since >= 0 and now - quiet_since > 0.5:
                quiet_since = -1.0
    return found


def _number(samples: np.ndarray) -> int:
    spectrum = np.abs(np.fft.rfft(samples.astype(float) * np.hanning(len(samples)), RATE))
    pitch = int(np.argmax(spectrum[300:3000])) + 300
    return int(np.argmin([abs(pitch - each) for each in _PITCHES]))


def flashes(pictures: Iterable[tuple[float, float]]) -> list[float]:
    """Return when pictures became bright; each comes with its time and its brightness."""
    found: list[float] = []
    was_bright = True  # one that is bright from the beginning may have become so before
    for time, brightness in pictures:
        bright = brightness > _BRIGHT
        if bright and not was_bright and (not found or time - found[-1] > 0.5):
            found.append(time)
        was_bright = bright
    return found


def offsets(heard: Sequence[Beep], seen: Sequence[float]) -> list[float]:
    """Return by how many seconds each flash came after the beep next to it."""
    return [min((flash - beep.time for flash in seen), key=abs) for beep in heard] if seen else []


def middle_brightness(luma: np.ndarray) -> float:
    """Return how bright the middle of a picture is."""
    rows, columns = luma.shape
    return float(luma[rows * 2 // 5 : rows * 3 // 5, columns * 2 // 5 : columns * 3 // 5].mean())


@dataclass
class Recorded:
    """What is in a file: its marks, and where its sound and pictures begin and end."""

    beeps: list[Beep]
    flashes: list[float]
    audio: tuple[float, float] | None
    video: tuple[float, float] | None
    pictures: int
    sound: np.ndarray
    """All of it, mono."""
    brightness: list[tuple[float, float]]
    codecs: set[str]
    duration: float


def read_recording(path: Path) -> Recorded:
    """Decode a file, whole."""
    import av

    blocks: list[tuple[float, np.ndarray]] = []
    brightness: list[tuple[float, float]] = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        codecs = {stream.codec_context.name for stream in container.streams}
        for packet in container.demux():
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    assert frame.time is not None
                    if container.streams.audio[0].codec_context.channels == 1 and frame.format.name == "s16":
                        blocks.append((frame.time, frame.to_ndarray().reshape(-1)))
                        continue
                    blocks += [
                        (float(block.pts * block.time_base), block.to_ndarray().reshape(-1))
                        for block in resampler.resample(frame)
                    ]
                else:
                    plane = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
                    brightness.append((frame.time, middle_brightness(plane[: frame.height, : frame.width])))
        duration = (container.duration or 0) / 1e6
    audio = (blocks[0][0], blocks[-1][0] + len(blocks[-1][1]) / RATE) if blocks else None
    return Recorded(
        beeps=beeps(blocks),
        flashes=flashes(brightness),
        audio=audio,
        video=(brightness[0][0], brightness[-1][0]) if brightness else None,
        pictures=len(brightness),
        sound=np.concatenate([block for _, block in blocks]) if blocks else np.zeros(0, np.int16),
        brightness=brightness,
        codecs=codecs,
        duration=duration,
    )
