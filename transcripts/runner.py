"""Plays scenarios on both servers and compares what was said."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .accepted import Accepted
from .compare import Difference, differences
from .names import Names
from .recording import Recording
from .scenarios import Scenario
from .servers import Endpoint
from .stage import KITS, Stage
from .streams import streams

__all__ = ["Result", "play_all"]

PLAY_TIMEOUT = 120.0
_numbers = itertools.count(1)


@dataclass
class Result:
    """What came out of one scenario with one kind of client.

    Args:
        scenario: Its name.
        kit: The clients' name.
        compared: How many messages were compared.
        accepted: The differences that stay, each with its entry of the list.
        unexplained: The others.
        failures: What went wrong while it was played.
        recordings: By server, what was recorded.
    """

    scenario: str
    kit: str
    compared: int = 0
    accepted: list[tuple[Difference, Accepted]] = field(default_factory=list)
    unexplained: list[Difference] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    recordings: dict[str, tuple[str, Recording]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """In one or two words."""
        if self.failures:
            return "failed"
        if self.unexplained:
            return f"{len(self.unexplained)} unexplained"
        return f"{len(self.accepted)} accepted" if self.accepted else "same"


async def _play(endpoint: Endpoint, scenario: Scenario, kit: str, room: str, result: Result) -> None:
    stage = Stage(endpoint, KITS[kit], room)
    try:
        async with asyncio.timeout(PLAY_TIMEOUT):
            try:
                await scenario.play(stage)
                await stage.settle()
            finally:
                await stage.close()
    except Exception as error:  # noqa: BLE001 - one scenario that fails must not end the others
        result.failures.append(f"{endpoint.name}: {type(error).__name__}: {error} (step {stage.recording.step!r})")
    result.recordings[endpoint.name] = (room, stage.recording)


def judge(result: Result, scenario: Scenario, accepted: Iterable[Accepted]) -> None:
    """Compare the recordings of a result and sort its differences."""
    sides = {}
    for name, (room, recording) in result.recordings.items():
        names = Names(recording.entries, room)
        played = [entry for entry in recording.entries if entry.step]
        sides[name] = streams(played, names, scenario.clocked)
    result.compared, found = differences(sides["real"], sides["dev"])
    accepted = list(accepted)
    for difference in found:
        entry = next((a for a in accepted if a.covers(result.scenario, result.kit, difference)), None)
        if entry is None:
            result.unexplained.append(difference)
        else:
            result.accepted.append((difference, entry))
    for entry in accepted:
        entry.seen += any(entry is known for _, known in result.accepted)


async def play_all(
    real: Endpoint,
    dev: Endpoint,
    plays: Iterable[tuple[Scenario, str]],
    accepted: Iterable[Accepted],
    *,
    at_once: int = 3,
    progress: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Play scenarios on both servers and return what came out.

    Args:
        real: The real server.
        dev: The dev server.
        plays: Scenarios, each with the name of its clients' kind.
        accepted: The differences that stay.
        at_once: How many are played at the same time.
        progress: Called with each result.
    """
    accepted = list(accepted)
    turns = asyncio.Semaphore(at_once)

    async def one(scenario: Scenario, kit: str) -> Result:
        async with turns:
            result = Result(scenario.name, kit)
            room = f"transcript-{next(_numbers)}"
            await asyncio.gather(*(_play(endpoint, scenario, kit, room, result) for endpoint in (real, dev)))
            judge(result, scenario, accepted)
            progress(result)
            return result

    return await asyncio.gather(*(one(scenario, kit) for scenario, kit in plays))
