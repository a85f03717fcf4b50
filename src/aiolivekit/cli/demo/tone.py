"""The demo's tone: four notes of a chord, and how to tell them from what arrived."""

from __future__ import annotations

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
_ONSET_LEVEL = 0.05
_MARGIN_SECONDS = 0.08
"""What is left out at both ends of a note: the jitter buffer may stretch or squeeze the sound a little."""

_TAIL_SECONDS = 0.1
"""What is kept after the notes, to show that they end."""

_MAX_DEVIATION = 0.01
_MAX_LEVEL_CHANGE_DB = 3.0
_MIN_PURITY = 0.9


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
        wanted: The frequency that was sent, in Hz.
        frequency: The frequency that was heard, in Hz.
        purity: The part of the energy within 3 % of the wanted frequency, 0 to 1.
        level_db: How much louder it is than what was sent, in dB.
    """

    wanted: float
    frequency: float
    purity: float
    level_db: float

    @property
    def deviation(self) -> float:
        """How far off the frequency is, as a fraction."""
        return abs(self.frequency - self.wanted) / self.wanted


@dataclass(frozen=True, slots=True)
class ToneReading:
    """What was heard.

    Attributes:
        samples: The sound from its onset, -1 to 1.
        notes: The notes, in order; fewer than were sent if the sound is too short.
    """

    samples: Samples
    notes: tuple[Note, ...]


def read_melody(samples: Samples) -> ToneReading:
    """Find the notes in received samples (-1 to 1), which may begin with silence."""
    loud = np.flatnonzero(np.abs(samples) > _ONSET_LEVEL)
    if not len(loud):
        return ToneReading(samples[:0], ())
    sound = samples[loud[0] :]
    length, margin = round(NOTE_SECONDS * RATE), round(_MARGIN_SECONDS * RATE)
    notes = []
    for index, wanted in enumerate(NOTES):
        part = sound[index * length + margin : (index + 1) * length - margin]
        if len(part) < length - 2 * margin:
            break
        notes.append(_read_note(part, wanted))
    return ToneReading(sound[: len(NOTES) * length + round(_TAIL_SECONDS * RATE)], tuple(notes))


def _read_note(part: Samples, wanted: float) -> Note:
    power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
    frequencies = np.fft.rfftfreq(len(part), 1 / RATE)
    total = float(power.sum()) or 1.0
    near = np.abs(frequencies - wanted) <= max(0.03 * wanted, 3 * RATE / len(part))
    level = float(np.sqrt(np.mean(part**2)))
    return Note(
        wanted=wanted,
        frequency=_peak(power, frequencies),
        purity=float(power[near].sum()) / total,
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
    complete = len(notes) == len(NOTES)
    frequencies = ", ".join(f"{note.frequency:.1f}" for note in notes)
    levels = [note.level_db for note in notes]
    return [
        Check(
            "tone",
            "frequencies in order",
            complete and all(note.deviation <= _MAX_DEVIATION for note in notes),
            f"{frequencies} Hz" if notes else "nothing heard",
            f"{', '.join(f'{note:.1f}' for note in NOTES)} Hz ±{_MAX_DEVIATION:.0%}",
        ),
        Check(
            "tone",
            "nothing but the tone",
            complete and all(note.purity >= _MIN_PURITY for note in notes),
            f"{min((note.purity for note in notes), default=0.0):.1%} of the energy",
            f"at least {_MIN_PURITY:.0%}",
        ),
        Check(
            "tone",
            "as loud as sent",
            complete and all(abs(level) <= _MAX_LEVEL_CHANGE_DB for level in levels),
            f"{min(levels):+.1f} to {max(levels):+.1f} dB" if levels else "nothing heard",
            f"±{_MAX_LEVEL_CHANGE_DB:.0f} dB",
        ),
    ]
