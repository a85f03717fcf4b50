"""The keys of one participant by index: which are tried for a frame, and what follows from success and failure.

A key can be taken a step further by ratcheting it, which both sides do alike; whoever has not heard that the sender did
so finds out by trying. A sender's frames and packets take different ways, so what it encrypted before the step may
arrive after what it encrypted since: the key before is kept as long as it is used, and a while.

Deriving a step takes long, and is not done here: what is not known yet is left out, and said to be.
"""

from __future__ import annotations

import threading
from typing import Generic, Protocol, Self, TypeVar

__all__ = ["KeyRing", "Step"]

PREVIOUS_KEPT = 10.0
"""Seconds for which the key before a ratchet step is tried too, from its last use: longer than packets that are not
lost are on their way."""

StepT = TypeVar("StepT", bound="Step")


class Step(Protocol):
    """A key at one step of its ratchet."""

    @property
    def following(self) -> Self | None:
        """The next step, if it has been derived."""


class _Slot(Generic[StepT]):
    __slots__ = ("current", "failures", "previous", "previous_until")

    def __init__(self, current: StepT) -> None:
        self.current = current
        self.previous: StepT | None = None
        self.previous_until = 0.0
        self.failures = 0

    def steps(self) -> list[StepT]:
        return [self.current] if self.previous is None else [self.current, self.previous]


class KeyRing(Generic[StepT]):
    """The keys of one participant. It may be used from several threads.

    Args:
        size: How many indexes there are.
        failure_tolerance: Failures in a row after which a key counts as wrong and is not tried any more, until it is
            set anew; negative for never.
        window: How many steps a sender may be ahead.
    """

    def __init__(self, size: int, failure_tolerance: int, window: int) -> None:
        self.size = size
        self.window = window
        self._tolerance = failure_tolerance
        self._slots: list[_Slot[StepT] | None] = [None] * size
        self._lock = threading.Lock()

    def put(self, index: int, step: StepT) -> list[StepT]:
        """Set a key; return what was there, to be wiped. What is known of it is gone."""
        with self._lock:
            before, self._slots[index] = self._slots[index], _Slot(step)
        return [] if before is None else before.steps()

    def get(self, index: int) -> StepT | None:
        """Return the key that is in force at an index; `None` for none, and for an index the ring does not have."""
        if not 0 <= index < self.size:
            return None
        slot = self._slots[index]
        return None if slot is None else slot.current

    def is_wrong(self, index: int) -> bool:
        """Whether the key has failed more often than is tolerated."""
        slot = self._slots[index] if 0 <= index < self.size else None
        return slot is not None and self._tolerance >= 0 and slot.failures > self._tolerance

    def others(self, index: int, now: float) -> tuple[list[StepT], bool]:
        """Return what else is to be tried when the key in force does not fit.

        Returns:
            The steps that have been derived, and whether those are all there are in the window.
        """
        slot = self._slots[index]
        if slot is None:
            return [], True
        found: list[StepT] = []
        if slot.previous is not None and now < slot.previous_until:
            found.append(slot.previous)
        step = slot.current
        for _ in range(self.window):
            following = step.following
            if following is None:
                return found, False
            step = following
            found.append(step)
        return found, True

    def succeeded(self, index: int, tried: StepT, step: StepT, now: float) -> bool:
        """Take note that a step fits; return whether the ring went on to it.

        Args:
            index: Of the key.
            tried: What was in force when the trying began: if another key was set meanwhile, that one stays.
            step: What fits.
            now: On a clock that only goes on.
        """
        slot = self._slots[index]
        if slot is None or slot.current is not tried:
            return False
        slot.failures = 0
        if step is tried:
            return False
        if step is slot.previous:
            slot.previous_until = now + PREVIOUS_KEPT
            return False
        return self.advance(index, tried, step, now)

    def advance(self, index: int, before: StepT, step: StepT, now: float) -> bool:
        """Go on from one step to another; return false if another key was set meanwhile, which stays then."""
        with self._lock:
            slot = self._slots[index]
            if slot is None or slot.current is not before:
                return False
            slot.previous, slot.previous_until = before, now + PREVIOUS_KEPT
            slot.current = step
            slot.failures = 0
            return True

    def failed(self, index: int, tried: StepT) -> None:
        """Take note that neither a key nor what may follow it fits."""
        slot = self._slots[index]
        if slot is not None and slot.current is tried:
            slot.failures += 1

    def copy(self) -> KeyRing[StepT]:
        """Return a ring with the same keys, which goes its own way from here."""
        other: KeyRing[StepT] = KeyRing(self.size, self._tolerance, self.window)
        with self._lock:
            other._slots = [None if slot is None else _Slot(slot.current) for slot in self._slots]
        return other

    def clear(self) -> list[StepT]:
        """Forget all keys; return them, to be wiped."""
        with self._lock:
            slots = [slot for slot in self._slots if slot is not None]
            self._slots = [None] * self.size
        return [step for slot in slots for step in slot.steps()]

    def __repr__(self) -> str:
        return f"KeyRing({sum(slot is not None for slot in self._slots)} of {self.size})"
