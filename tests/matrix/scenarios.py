"""What happens to a participant, and how that is to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from livekit.protocol import models, rtc

from aiolivekit import Room
from aiolivekit.enums import DisconnectReason
from aiolivekit.testing import Cut

from ..e2e.sdk import DEADLINE, until
from .cells import Cell

if TYPE_CHECKING:
    from .stage import Side, Stage

__all__ = ["SCENARIOS", "Scenario", "makes_sense"]

Strike = Callable[["Stage", "Side"], Awaitable[None]]
Action = rtc.LeaveRequest.Action


@dataclass(frozen=True)
class Scenario:
    """One thing that happens.

    Args:
        strike: Makes it happen.
        outcome: "resume" (the session is kept), "restart" (it is not), "either", "perhaps" (nothing need be noticed,
            otherwise as "either"), or the reason it ends with.
        bound: Seconds within which it is over.
        everybody: It happens to all who are in the room.
        own_server: It needs a server no other cell is on.
    """

    strike: Strike
    outcome: str | DisconnectReason
    bound: float = 15.0
    everybody: bool = False
    own_server: bool = False

    @property
    def ends(self) -> bool:
        """Whether the participant does not come back."""
        return isinstance(self.outcome, DisconnectReason)


def _cut(how: Cut) -> Strike:
    async def strike(stage: Stage, side: Side) -> None:
        await stage.proxy.cut(side.identity, how)

    return strike


async def _refused_for_a_while(stage: Stage, side: Side) -> None:
    refusal = stage.proxy.refuse()
    await stage.proxy.cut(side.identity)
    # How long it lasts is what the scenario is.
    await asyncio.sleep(2.5)
    refusal.lift()


async def _unavailable(stage: Stage, side: Side) -> None:
    stage.proxy.answer(503, to="resume", count=3, identity=side.identity)
    await stage.proxy.cut(side.identity)


async def _resume_refused(stage: Stage, side: Side) -> None:
    stage.proxy.refuse_resume(identity=side.identity)
    await stage.proxy.cut(side.identity)


async def _lost_while_resuming(stage: Stage, side: Side) -> None:
    stage.proxy.cut_at("sync_state", sender="client", identity=side.identity)
    await stage.proxy.cut(side.identity)


async def _token_refused(stage: Stage, side: Side) -> None:
    stage.proxy.answer(401, count=0, identity=side.identity, body="invalid token")
    await stage.proxy.cut(side.identity)


def _simulated(**scenario: Any) -> Strike:
    async def strike(stage: Stage, side: Side) -> None:
        # In the client's place: at this moment it may be unable to say it by itself.
        request = rtc.SignalRequest(simulate=rtc.SimulateScenario(**scenario))
        await stage.say(side, request)

    return strike


async def _full_reconnect(stage: Stage, side: Side) -> None:
    await stage.say(side, _leave(Action.RECONNECT, models.DisconnectReason.CLIENT_INITIATED))


def _leave(action: Action.ValueType, reason: models.DisconnectReason.ValueType) -> rtc.SignalResponse:
    return rtc.SignalResponse(leave=rtc.LeaveRequest(action=action, reason=reason))


async def _leave_disconnect(stage: Stage, side: Side) -> None:
    await stage.say(side, _leave(Action.DISCONNECT, models.DisconnectReason.SERVER_SHUTDOWN))


async def _leave_resume(stage: Stage, side: Side) -> None:
    await stage.say(side, _leave(Action.RESUME, models.DisconnectReason.MIGRATION))
    await stage.proxy.cut(side.identity, Cut.CLOSE)


async def _removed(stage: Stage, side: Side) -> None:
    await stage.present(side)
    await stage.room_service("RemoveParticipant", {"room": stage.room_name, "identity": side.identity})


async def _room_deleted(stage: Stage, side: Side) -> None:
    await stage.present(side)
    await stage.room_service("DeleteRoom", {"room": stage.room_name})


async def _duplicate(stage: Stage, side: Side) -> None:
    await stage.present(side)
    twin = Room()
    stage.stack.push_async_callback(twin.disconnect)
    await twin.connect(stage.server.url, stage.token(side.identity), stage.options)


async def _server_killed(stage: Stage, side: Side) -> None:
    await stage.server_dies_and_comes_back()


async def _media_swallowed(stage: Stage, side: Side) -> None:
    swallowed = stage.proxy.lose_media(side.identity)
    # Until it is noticed: a path that comes back before needs no recovery.
    noticed = len(side.events.of("reconnecting")) + 1
    with suppress(AssertionError):
        await until(lambda: len(side.events.of("reconnecting")) >= noticed, "the loss is noticed")
    swallowed.lift()


async def _media_flows_cut(stage: Stage, side: Side) -> None:
    stage.proxy.cut_media(side.identity)


async def _blackout(stage: Stage, side: Side) -> None:
    blackout = stage.proxy.blackout(side.identity)
    # How long it lasts is what the scenario is.
    await asyncio.sleep(5.0)
    blackout.lift()


SCENARIOS: dict[str, Scenario] = {
    "signal cut": Scenario(_cut(Cut.RESET), "resume"),
    "signal closed": Scenario(_cut(Cut.CLOSE), "resume"),
    "half-open, server gone": Scenario(_cut(Cut.DEAD_SERVER), "resume"),
    "half-open, client gone": Scenario(_cut(Cut.DEAD_CLIENT), "resume"),
    "signal black-holed": Scenario(_cut(Cut.BLACK_HOLE), "resume"),
    "refused for 2.5 s": Scenario(_refused_for_a_while, "resume"),
    "503 three times": Scenario(_unavailable, "resume"),
    "lost again while resuming": Scenario(_lost_while_resuming, "resume"),
    "resume refused": Scenario(_resume_refused, "restart"),
    "full reconnect": Scenario(_full_reconnect, "restart"),
    "node failure": Scenario(_simulated(node_failure=True), "restart"),
    "migration": Scenario(_simulated(migration=True), "restart"),
    "leave, resume": Scenario(_leave_resume, "resume"),
    "server killed": Scenario(_server_killed, "restart", bound=30.0, everybody=True, own_server=True),
    "leave, disconnect": Scenario(_leave_disconnect, DisconnectReason.SERVER_SHUTDOWN),
    "removed": Scenario(_removed, DisconnectReason.PARTICIPANT_REMOVED),
    "room deleted": Scenario(_room_deleted, DisconnectReason.ROOM_DELETED, everybody=True),
    "duplicate identity": Scenario(_duplicate, DisconnectReason.DUPLICATE_IDENTITY),
    "token refused": Scenario(_token_refused, DisconnectReason.JOIN_FAILURE),
    "media black-holed": Scenario(_media_swallowed, "perhaps", bound=DEADLINE + 15.0),
    "media flows cut": Scenario(_media_flows_cut, "either", bound=30.0),
    "blackout of 5 s": Scenario(_blackout, "either", bound=30.0),
}


def makes_sense(cell: Cell) -> bool:
    """Whether there is such a cell."""
    scenario = SCENARIOS[cell.scenario]
    if scenario.ends and cell.moment == "twice in a row":
        return False
    if cell.scenario == "duplicate identity" and cell.moment == "during a restart":
        # Who joins last stays, and either may be it.
        return False
    # It happens to all by itself.
    return not (scenario.everybody and cell.moment == "both sides at once")
