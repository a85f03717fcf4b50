"""The demo's pictures: what the tone sounded like, and what the moving picture looked like."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .charts import GREY, INK, Axes, Figure, heat_colours
from .picture import FRAMES, HEIGHT, WIDTH, PictureReading, Pixels, ball_at, read_picture
from .tone import NOTE_SECONDS, NOTES, RATE, Samples, ToneReading

__all__ = ["save_frame", "save_picture_figure", "save_sound", "save_tone_figure"]

_BLUE, _RED = "#2563eb", "#dc2626"
_TOP_FREQUENCY = 1200.0
_FLOOR_DB = -70.0
_ZOOM_SECONDS = 0.02


def save_sound(samples: Samples, path: Path) -> None:
    """Write what was heard as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def save_frame(pixels: Pixels, path: Path) -> None:
    """Write a received frame as it is."""
    from PIL import Image

    Image.fromarray(pixels[..., :3].copy()).save(path)


def save_tone_figure(reading: ToneReading, path: Path) -> None:
    """Draw the spectrogram of what was heard, and a little of its waveform."""
    subtitle = "alice's microphone track, Opus, as bob heard it; dashed: the notes she played"
    figure = Figure(1080, 720, "The tone as it arrived", subtitle)
    seconds = max(len(reading.samples) / RATE, len(NOTES) * NOTE_SECONDS)
    axes = Axes(figure, (84, 112, 950, 430), (0.0, seconds), (0.0, _TOP_FREQUENCY))
    axes.fill(heat_colours(_spectrogram(reading.samples)))
    axes.label("Spectrogram", "time [s]", "frequency [Hz]", grid=False)
    for note, played in zip(reading.notes, NOTES, strict=False):
        figure.dashes(axes.at(note.start, played), axes.at(note.end, played), "#ffffff", 1.2)
        words = f"{note.frequency:.1f} Hz"
        figure.text(axes.at((note.start + note.end) / 2, played + 75), words, 13, "#ffffff", "mm")
    _draw_colour_bar(figure, 978, 112, 430)

    start = (reading.notes[0].start + reading.notes[0].end) / 2 if reading.notes else 0.0
    part = reading.samples[round(start * RATE) : round((start + _ZOOM_SECONDS) * RATE)]
    milliseconds = start * 1000 + np.arange(len(part)) * 1000 / RATE
    zoom = Axes(figure, (84, 520, 1040, 660), (start * 1000, (start + _ZOOM_SECONDS) * 1000), (-0.75, 0.75))
    zoom.label(f"Waveform, {_ZOOM_SECONDS * 1000:.0f} ms of the first note", "time [ms]", "amplitude")
    zoom.line(milliseconds.tolist(), part.tolist(), _BLUE, 1.8)
    figure.png().save(path)


def _spectrogram(samples: Samples) -> npt.NDArray[np.float64]:
    """Return levels from 0 (the floor) to 1 (the loudest): rows from high to low frequency, columns in time."""
    size, hop, fine = 4096, 256, 8192
    padded = np.concatenate([np.zeros(size // 2), samples, np.zeros(size // 2)])
    windows = (
        np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] if len(padded) >= size else np.zeros((1, size))
    )
    spectrum = np.abs(np.fft.rfft(windows * np.hanning(size), n=fine, axis=1))
    rows = np.fft.rfftfreq(fine, 1 / RATE) <= _TOP_FREQUENCY
    levels = 20 * np.log10(np.maximum(spectrum[:, rows], 1e-9) / (np.hanning(size).sum() / 2))
    result: npt.NDArray[np.float64] = np.clip(1 - levels.T[::-1] / _FLOOR_DB, 0, 1)
    return result


def _draw_colour_bar(figure: Figure, left: float, top: float, bottom: float) -> None:
    ramp = heat_colours(np.linspace(1, 0, 128))[:, None, :]
    figure.paste(np.repeat(ramp, 4, axis=1), left, top, left + 16, bottom)
    figure.frame(left, top, left + 16, bottom, GREY)
    for level in range(0, round(_FLOOR_DB) - 1, -10):
        y = top + level / _FLOOR_DB * (bottom - top)
        figure.line([(left + 16, y), (left + 20, y)], GREY, 1.0)
        figure.text((left + 24, y), str(level), 12, GREY, "lm")
    figure.upright_text((left + 66, (top + bottom) / 2), "level [dB of full scale]", 13, INK)


def save_picture_figure(readings: Sequence[PictureReading], pixels: Pixels, path: Path) -> None:
    """Draw a received frame with what was found in it, and the way of the ball over all frames."""
    shown = read_picture(pixels)
    seen = [each for each in readings if each.number is not None]
    figure = Figure(
        1240,
        520,
        "The moving picture as it arrived",
        f"bob's camera track, VP8, seen by alice; {len({each.number for each in seen})} of {FRAMES} frames",
    )
    frame = Axes(figure, (84, 112, 84 + WIDTH, 112 + HEIGHT), (0.0, WIDTH), (HEIGHT, 0.0))
    frame.fill(pixels[..., :3].copy())
    frame.label(f"Received frame, number {shown.number} by its bar code", "x [pixels]", "y [pixels]", grid=False)
    if shown.ball is not None:
        x, y = shown.ball
        for dx, dy in ((1, 0), (0, 1)):
            for near, far in ((-34, -12), (12, 34)):
                ends = [frame.at(x + dx * reach, y + dy * reach) for reach in (near, far)]
                figure.line(ends, "#111111", 2.0)
        beside, anchor = (-28, "rs") if x > WIDTH / 2 else (28, "ls")
        figure.text(frame.at(x + beside, y - 34), f"found at {x:.1f}, {y:.1f}", 13, "#ffffff", anchor)
    _draw_path(figure, seen)
    figure.png().save(path)


def _draw_path(figure: Figure, seen: Sequence[PictureReading]) -> None:
    first = seen[0].number if seen else 0
    assert first is not None
    axes = Axes(figure, (812, 112, 1210, 472), (first, first + FRAMES), (0.0, WIDTH))
    axes.label("The ball: lines as drawn, dots as found", "frame number", "position [pixels]")
    numbers = list(range(first, first + FRAMES))
    for coordinate, colour, name in ((0, _BLUE, "x"), (1, _RED, "y")):
        way = [ball_at(number)[coordinate] for number in numbers]
        axes.line(numbers, way, colour, 1.2)
        found = [
            (each.number, each.ball[coordinate]) for each in seen if each.ball is not None and each.number is not None
        ]
        axes.dots([number for number, _ in found], [value for _, value in found], colour)
        figure.text(axes.at(first + FRAMES - 2, way[-1] + 24), name, 14, colour, "mm")
