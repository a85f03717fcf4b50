"""What is played on both servers."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..stage import Stage

__all__ = ["OFFICIAL", "SCENARIOS", "SDKS", "WIRE", "Scenario", "load", "scenario"]

Play = Callable[[Stage], Awaitable[None]]

_MODULES = (
    "joining",
    "publishing",
    "subscribing",
    "participants",
    "leaving",
    "recovering",
    "requests",
    "wire",
)

SDKS = ("official-dual", "official-single", "ours-dual", "ours-single")
OFFICIAL = ("official-dual", "official-single")
WIRE = ("wire",)


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Args:
        name: For tables and `--only`.
        play: What happens.
        kits: The clients it is played with.
        clocked: Kinds of messages that come by the clock but are what this scenario is about.
    """

    name: str
    play: Play
    kits: tuple[str, ...]
    clocked: frozenset[str]


SCENARIOS: dict[str, Scenario] = {}


def scenario(*, kits: tuple[str, ...] = SDKS, clocked: tuple[str, ...] = ()) -> Callable[[Play], Play]:
    """Register a coroutine function as a scenario; its name is the scenario's."""

    def register(play: Play) -> Play:
        name = play.__name__.replace("_", " ")
        SCENARIOS[name] = Scenario(name, play, kits, frozenset(clocked))
        return play

    return register


def load() -> dict[str, Scenario]:
    """Return all scenarios by name."""
    for module in _MODULES:
        importlib.import_module(f".{module}", __name__)
    return SCENARIOS
