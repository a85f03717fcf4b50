"""Plays one cell, and checks all that has to be so afterwards."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field

from livekit.protocol import models, rtc

from aiolivekit.enums import ConnectionState
from aiolivekit.errors import LiveKitError
from aiolivekit.testing import EmbeddedServer, RealServer

from ..e2e.sdk import DEADLINE
from .cells import Cell
from .scenarios import SCENARIOS, Scenario
from .stage import Side, Stage, within
from .traffic import Stream, durable_is_there

__all__ = ["Outcome", "Traffic", "play"]

_rooms = itertools.count()
_CELL_LIMIT = 240.0
"""Seconds after which a cell hangs; everything in it has shorter limits."""


@dataclass(frozen=True)
class Traffic:
    """How much is sent while it happens.

    Args:
        count: Messages each way.
        pause: Seconds between two of them.
    """

    count: int = 300
    pause: float = 0.004


@dataclass
class Outcome:
    """What came of a cell.

    Args:
        ended: The reason it ended with; empty when all are in the room again.
        seconds: From the fault until everybody was back.
        sessions: Whether the session of who was struck was kept: "kept" or "new".
        data: The account of each stream.
    """

    ended: str = ""
    seconds: float = 0.0
    sessions: str = ""
    data: dict[str, dict[str, int]] = field(default_factory=dict)


async def play(cell: Cell, server: EmbeddedServer | RealServer, traffic: Traffic) -> Outcome:
    """Play a cell.

    Raises:
        AssertionError: If something is not as it has to be; it says what.
    """
    scenario = SCENARIOS[cell.scenario]
    room_name = f"matrix-{os.getpid()}-{next(_rooms)}"
    async with asyncio.timeout(_CELL_LIMIT), Stage(server, room_name, cell.mode, cell.role) as stage:
        return await _Play(cell, scenario, stage, traffic).run()


class _Play:
    def __init__(self, cell: Cell, scenario: Scenario, stage: Stage, traffic: Traffic) -> None:
        self.cell = cell
        self.scenario = scenario
        self.stage = stage
        self.streams = self._make_streams(traffic)
        self.struck_at = 0.0
        self.publishing: asyncio.Task[None] | None = None

    def _make_streams(self, traffic: Traffic) -> list[tuple[Stream, Side, Side]]:
        pairs = [(self.stage.struck, self.stage.other), (self.stage.other, self.stage.struck)]
        return [
            (Stream(a.room, b.room, f"numbers of {a.identity}", traffic.count, pause=traffic.pause), a, b)
            for a, b in pairs
        ]

    def _add_durable(self) -> None:
        if not durable_is_there(self.stage.struck.room.local_participant):
            return
        for stream, a, b in list(self.streams):
            durable = Stream(a.room, b.room, f"durable {stream.topic}", 100, pause=0.01, durable=True)
            self.streams.append((durable, a, b))

    async def run(self) -> Outcome:
        stage = self.stage
        self._add_durable()
        if self.cell.moment not in ("before publish", "during negotiation"):
            await asyncio.gather(*(side.publish() for side in stage.sides))
            for side, other in (stage.sides, stage.sides[::-1]):
                await within(DEADLINE, lambda a=side, b=other: a.gets_tracks_of(b), "the tracks")  # type: ignore[misc]
        sending = [asyncio.create_task(stream.run()) for stream, _, _ in self.streams]
        try:
            async with asyncio.timeout(60):
                for stream, _, _ in self.streams:
                    await stream.begun.wait()
            await self._strike()
            if self.scenario.ends:
                return await self._check_ended()
            return await self._check_recovered(sending)
        finally:
            tasks = [*sending, *([self.publishing] if self.publishing is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- the moment --

    async def _strike(self) -> None:
        stage, side = self.stage, self.stage.struck
        self.struck_at = time.monotonic()
        for stream, _, _ in self.streams:
            stream.struck()
        match self.cell.moment:
            case "during negotiation":
                await self._begin_to_publish()
            case "during a resume":
                said = stage.proxy.watch("sync_state", identity=side.identity, sender="client")
                await stage.proxy.cut(side.identity)
                await said.wait_fired(timeout=DEADLINE)
            case "during a restart":
                joined = stage.proxy.watch("join", identity=side.identity)
                leave = rtc.LeaveRequest(
                    action=rtc.LeaveRequest.Action.RECONNECT, reason=models.DisconnectReason.STATE_MISMATCH
                )
                await stage.say(side, rtc.SignalResponse(leave=leave))
                await joined.wait_fired(timeout=DEADLINE)
            case "twice in a row":
                await self.scenario.strike(stage, side)
                await self._noticed(side, 1)
            case "both sides at once":
                await asyncio.gather(*(self.scenario.strike(stage, each) for each in stage.sides))
                return
        await self.scenario.strike(stage, side)

    async def _begin_to_publish(self) -> None:
        stage = self.stage
        if self.cell.role == "subscriber":
            # The server asks for sections, or offers them, when the other one publishes.
            name = "offer" if self.cell.mode == "dual" else "media_sections_requirement"
        else:
            name = "track_published"
        seen = stage.proxy.watch(name, identity=stage.struck.identity)
        self.publishing = asyncio.ensure_future(self._publish())
        await seen.wait_fired(timeout=DEADLINE)

    async def _publish(self) -> None:
        await asyncio.gather(*(side.publish() for side in self.stage.sides))

    async def _noticed(self, side: Side, times: int) -> None:
        """Wait until a fault is over; one that perhaps nobody notices may be over at once."""
        if self.scenario.outcome != "perhaps":
            await within(
                self.scenario.bound, lambda: len(side.events.of("reconnected")) >= times, f"{side.identity} is back"
            )
        await within(self.scenario.bound, self.stage.acquainted, "both are back")

    # -- the end --

    @property
    def affected(self) -> list[Side]:
        if self.cell.moment == "both sides at once" or self.scenario.everybody:
            return list(self.stage.sides)
        return [self.stage.struck]

    async def _check_ended(self) -> Outcome:
        reason = self.scenario.outcome
        for side in self.affected:
            await within(
                self.scenario.bound, lambda each=side: bool(each.events.of("disconnected")), f"{side.identity} ended"
            )  # type: ignore[misc]
            found = side.events.of("disconnected")
            assert found == [(reason,)], f"{side.identity} ended with {found}"
            assert side.room.connection_state == ConnectionState.CONN_DISCONNECTED
        if self.publishing is not None:
            # It was published in time, or fails by name.
            async with asyncio.timeout(DEADLINE):
                with suppress(LiveKitError):
                    await self.publishing
        for side in set(self.stage.sides) - set(self.affected):
            assert not side.events.of("disconnected"), f"{side.identity} ended too"
        for stream, a, b in self.streams:
            if a not in self.affected and b not in self.affected:
                stream.check(exact=True, receiver_back=None, sender_restarted=False)
        return Outcome(ended=getattr(reason, "name", str(reason)), seconds=time.monotonic() - self.struck_at)

    async def _check_recovered(self, sending: list[asyncio.Task[None]]) -> Outcome:
        stage = self.stage
        times = 2 if self.cell.moment == "twice in a row" else 1
        for side in self.affected:
            await self._noticed(side, times)
        seconds = time.monotonic() - self.struck_at
        if self.publishing is not None:
            async with asyncio.timeout(DEADLINE):
                await self.publishing
        await self._publish()
        await self._check_tracks_flow()
        await within(self.scenario.bound, stage.acquainted, "both are there")
        for stream, _, _ in self.streams:
            stream.well_again()
        async with asyncio.timeout(90):
            await asyncio.gather(*sending)
        for stream, _, _ in self.streams:
            await stream.wait_last()
        await stage.check_views()
        for side in stage.sides:
            self._check_session(side)
        return Outcome(
            seconds=seconds,
            sessions="kept" if stage.struck.sid == stage.struck.first_sid else "new",
            data={stream.topic: self._account(stream, a, b) for stream, a, b in self.streams},
        )

    async def _check_tracks_flow(self) -> None:
        stage = self.stage
        while True:
            sids = [side.sid for side in stage.sides]
            try:
                for side, other in (stage.sides, stage.sides[::-1]):
                    await side.check_tracks_flow(other)
                return
            except (AssertionError, TypeError, ValueError):
                # What strikes in an episode may begin one more, and the tracks looked at end with it.
                await within(self.scenario.bound, stage.acquainted, "both are there again")
                if sids == [side.sid for side in stage.sides]:
                    raise

    def _check_session(self, side: Side) -> None:
        assert not side.events.of("disconnected"), f"{side.identity} ended with {side.events.of('disconnected')}"
        new = side.sid != side.first_sid
        if side not in self.affected:
            # On a machine that stood still for seconds the server may have been missed: resumed, at most.
            assert not new, f"{side.identity} joined again, though nothing happened to it"
        elif self.cell.moment != "during a restart":
            if self.scenario.outcome == "resume":
                assert not new, f"{side.identity} joined again instead of resuming"
            elif self.scenario.outcome == "restart":
                assert new, f"{side.identity} did not join again"

    def _account(self, stream: Stream, a: Side, b: Side) -> dict[str, int]:
        restarted = {each.identity for each in (a, b) if each.sid != each.first_sid}
        durable = stream.topic.startswith("durable")
        back = b.back[-1] if b.identity in restarted and b.back else None
        return stream.check(
            exact=durable or not restarted, receiver_back=back, sender_restarted=a.identity in restarted
        )
