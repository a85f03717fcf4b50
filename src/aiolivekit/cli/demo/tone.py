"""The demo's tone: four notes of a chord, and how to tell them from what arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .result import Check

__all__ = ["NOTES", "NOTE_SECONDS", "RATE", "Note", "Samples", "ToneReading", "check_tone", "melody", "read_melody"]

Samples: TypeAlias = npt.NDArray[np.float64]

RATE = 48_000
NOTES = (440.0, 554.37, 659.26, 880.0)
"""Hertz; an A major chord, so that an ear can check it too."""

NOTE_SECONDS = 0.5
_LEVEL = 0.5
_FADE_SECONDS = 0.008

_WINDOW = 2048
_HOP = 480
"""The sound is looked at in windows of 43 ms, one every 10 ms."""

_FINE = 8192
_AUDIBLE = 0.05
_SAME_NOTE = 0.03
_SHORTEST_NOTE = 0.06
"""Seconds; what is shorter is the change from one note to the next."""

_LEAD_SECONDS, _TAIL_SECONDS = 0.05, 0.1
"""What is kept before and after the notes."""

_MAX_DEVIATION = 0.01
_MAX_LEVEL_CHANGE_DB = 3.0
_MIN_PURITY = 0.9
_MIN_LENGTH = 0.7


def melody() -> npt.NDArray[np.int16]:
    """Return the notes as 16-bit samples at `RATE`, each faded in and out so that nothing clicks."""
    count = round(NOTE_SECONDS * RATE)
    time = np.arange(count) / RATE
    ramp = np.minimum(1.0, np.minimum(time, time[::-1]) / _FADE_SECONDS)
    notes = [np.sin(2 * np.pi * frequency * time) * ramp for frequency in NOTES]
    return np.round(np.concatenate(notes) * _LEVEL * 32767).astype(np.int16)


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was heard.

    Attributes:
        start: When it begins, in seconds of the kept sound.
        end: When it ends; pauses within it count.
        length: How long it is heard, in seconds, without pauses.
        frequency: In Hz.
        purity: The part of its energy within 3 % of that frequency, 0 to 1.
        level_db: How much louder it is than what was sent, in dB.
    """

    start: float
    end: float
    length: float
    frequency: float
    purity: float
    level_db: float


@dataclass(frozen=True, slots=True)
class ToneReading:
    """What was heard.

    Attributes:
        samples: The sound from shortly before to shortly after the notes, -1 to 1.
        notes: The notes, in order.
    """

    samples: Samples
    notes: tuple[Note, ...]


@dataclass(slots=True)
class _Stretch:
    """Windows after one another with the same frequency."""

    first: int
    last: int
    frequency: float


def read_melody(samples: Samples) -> ToneReading:
    """Find the notes in received samples (-1 to 1).

    A busy machine may tear holes into the sound or delay it, so nothing is expected at a certain time: a note is what
    keeps its frequency for a while.
    """
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not len(loud):
        return ToneReading(samples[:0], ())
    start = max(0, int(loud[0]) - round(_LEAD_SECONDS * RATE))
    sound = samples[start : int(loud[-1]) + round(_TAIL_SECONDS * RATE)]
    notes: list[list[_Stretch]] = []
    for stretch in _stretches(sound):
        if notes and _same(notes[-1][0].frequency, stretch.frequency):
            notes[-1].append(stretch)
        else:
            notes.append([stretch])
    return ToneReading(sound, tuple(_measure(sound, stretches) for stretches in notes))


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME_NOTE * one


def _stretches(sound: Samples) -> list[_Stretch]:
    if len(sound) < _WINDOW:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::_HOP]
    audible = np.sqrt(np.mean(windows**2, axis=1)) > _AUDIBLE
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), n=_FINE, axis=1)) ** 2
    frequencies = np.fft.rfftfreq(_FINE, 1 / RATE)
    found: list[_Stretch] = []
    current: _Stretch | None = None
    for index, is_audible in enumerate(audible):
        frequency = _peak(power[index], frequencies) if is_audible else 0.0
        if current is not None and is_audible and _same(current.frequency, frequency):
            current.last = index
            continue
        current = _Stretch(index, index, frequency) if is_audible else None
        if current is not None:
            found.append(current)
    return [each for each in found if _seconds(each) >= _SHORTEST_NOTE]


def _seconds(stretch: _Stretch) -> float:
    return (stretch.last - stretch.first + 1) * _HOP / RATE


def _measure(sound: Samples, stretches: list[_Stretch]) -> Note:
    longest = max(stretches, key=_seconds)
    # Half a window at both ends may belong to what comes before and after.
    first, last = longest.first * _HOP + _WINDOW // 2, longest.last * _HOP + _WINDOW // 2
    part = sound[first:last]
    power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
    frequencies = np.fft.rfftfreq(len(part), 1 / RATE)
    frequency = _peak(power, frequencies)
    near = np.abs(frequencies - frequency) <= max(_SAME_NOTE * frequency, 3 * RATE / len(part))
    level = float(np.sqrt(np.mean(part**2)))
    return Note(
        start=(stretches[0].first * _HOP + _WINDOW // 2) / RATE,
        end=(stretches[-1].last * _HOP + _WINDOW // 2) / RATE,
        length=sum(_seconds(stretch) for stretch in stretches),
        frequency=frequency,
        purity=float(power[near].sum()) / (float(power.sum()) or 1.0),
        # To a tenth, and no negative zero.
        level_db=round(20 * float(np.log10(max(level, 1e-6) / (_LEVEL / np.sqrt(2)))), 1) + 0.0,
    )


def _peak(power: npt.NDArray[np.floating], frequencies: npt.NDArray[np.floating]) -> float:
    """Return the frequency of the highest peak, finer than the bins: by a parabola through its logarithm."""
    top = int(np.argmax(power[1:-1])) + 1
    left, middle, right = np.log(power[top - 1 : top + 2] + 1e-12)
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature else 0.0
    return float(frequencies[top] + shift * (frequencies[1] - frequencies[0]))


def check_tone(reading: ToneReading) -> list[Check]:
    """Compare what was heard with what was sent."""
    notes = reading.notes
    heard = [note.frequency for note in notes]
    lengths = [note.length for note in notes]
    levels = [note.level_db for note in notes]
    complete = len(notes) == len(NOTES)
    nothing = "nothing heard"
    right = complete and all(
        abs(frequency - wanted) <= _MAX_DEVIATION * wanted for frequency, wanted in zip(heard, NOTES, strict=True)
    )
    shortest = _MIN_LENGTH * NOTE_SECONDS
    return [
        Check(
            "tone",
            "frequencies in order",
            right,
            f"{_list(heard)} Hz" if notes else nothing,
            f"{_list(NOTES)} Hz ±{_MAX_DEVIATION:.0%}",
        ),
        Check(
            "tone",
            "length of the notes",
            complete and min(lengths) >= shortest,
            f"at least {min(lengths):.2f} s" if notes else nothing,
            f"{NOTE_SECONDS:.2f} s, at least {shortest:.2f} s",
        ),
        Check(
            "tone",
            "nothing but the tone",
            complete and all(note.purity >= _MIN_PURITY for note in notes),
            f"{min(note.purity for note in notes):.1%} of the energy" if notes else nothing,
            f"at least {_MIN_PURITY:.0%}",
        ),
        Check(
            "tone",
            "as loud as sent",
            complete and all(abs(level) <= _MAX_LEVEL_CHANGE_DB for level in levels),
            f"{min(levels):+.1f} to {max(levels):+.1f} dB" if notes else nothing,
            f"±{_MAX_LEVEL_CHANGE_DB:.0f} dB",
        ),
    ]


def _list(frequencies: Sequence[float]) -> str:
    # Noise can be any number of notes.
    shown = ", ".join(f"{frequency:.1f}" for frequency in frequencies[:8])
    return f"{shown}, …" if len(frequencies) > 8 else shown
