"""The fault matrix, a part of it: each scenario once, and each moment once in each mode.

`make matrix` plays a set in which every pair of values meets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol import models, rtc

from aiolivekit.enums import ConnectionState
from aiolivekit.testing import EmbeddedServer, FaultProxy, LiveKitCluster, RealServer, RedisUnavailableError
from aiolivekit.testing.plugin import unavailable

from ..matrix.cells import MODES, MOMENTS, ROLES, SERVERS, Cell
from ..matrix.play import Traffic, play
from ..matrix.scenarios import SCENARIOS, makes_sense
from .conftest import OURS
from .sdk import until
from .test_fault_proxy import active

pytestmark = pytest.mark.e2e

_AT_MOMENTS = ("signal cut", "resume refused", "full reconnect", "node failure")
"""Short ones, two that keep the session and two that do not."""
_MOMENTS_WITH_TRACKS = MOMENTS[1:3]


def cells() -> Iterator[Cell]:
    """Yield each scenario once, then each moment once in each mode; roles and servers take turns."""
    others = itertools.cycle(itertools.product(ROLES, MODES))
    for number, scenario in enumerate(SCENARIOS):
        role, mode = next(others)
        yield Cell(scenario, _MOMENTS_WITH_TRACKS[0], role, SERVERS[number % 2], mode)
    turns = itertools.cycle(itertools.product(_AT_MOMENTS, ROLES))
    for number, (moment, mode) in enumerate(itertools.product(MOMENTS, MODES)):
        scenario, role = next(turns)
        yield Cell(scenario, moment, role, SERVERS[(number + number // 2) % 2], mode)


FOUND = [
    Cell("full reconnect", "during negotiation", "publisher", "real", "single"),
    Cell("signal cut", "during negotiation", "publisher", "embedded", "single"),
]
"""What the matrix has found: the track announced in the session before, and an announcement whose answer was lost."""

CELLS = list(dict.fromkeys([*cells(), *FOUND]))


def test_the_cells_are_all_there() -> None:
    assert {cell.scenario for cell in CELLS} == set(SCENARIOS)
    assert {(cell.moment, cell.mode) for cell in CELLS} == set(itertools.product(MOMENTS, MODES))
    assert {cell.server for cell in CELLS} == set(SERVERS)
    assert all(map(makes_sense, CELLS))


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def matrix_server(request: pytest.FixtureRequest, cell: Cell) -> Iterator[Any]:
    """The server of a cell: shared, unless it is killed."""
    if not SCENARIOS[cell.scenario].own_server:
        yield request.getfixturevalue("real_server" if cell.server == "real" else "embedded")
        return
    if cell.server == "embedded":
        server: EmbeddedServer | RealServer = EmbeddedServer()
    else:
        binary: Path = request.getfixturevalue("livekit_server_binary")
        server = RealServer(binary=binary)
    with server:
        yield server


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_a_cell(cell: Cell, matrix_server: Any) -> None:
    await play(cell, matrix_server, Traffic())


@pytest.fixture
def cluster(livekit_server_binary: Path) -> Iterator[LiveKitCluster]:
    made = LiveKitCluster(binary=livekit_server_binary)
    try:
        made.start()
    except RedisUnavailableError as error:
        unavailable(str(error))
    with made:
        yield made


async def test_the_node_of_the_room_is_killed(cluster: LiveKitCluster, single: bool) -> None:
    """Both are connected to the other node, which passes their signalling on; the room comes up again there."""
    cluster.create_room("room", on=0)
    joined = [
        await OURS.join(cluster.nodes[1].url, cluster.token(identity), single=single) for identity in ("alice", "bob")
    ]
    (alice, _), (bob, _) = joined
    try:
        heard: list[bytes] = []
        bob.on("data_received", lambda packet: heard.append(packet.data))
        await until(lambda: "alice" in bob.remote_participants, "they see each other")
        await alice.local_participant.publish_data(b"before")
        await until(lambda: heard == [b"before"], "the message")
        cluster.kill(0)
        for room, events in joined:
            # Its own limit first: the node that is left waits some ten seconds for the one that is gone.
            for name in ("reconnecting", "reconnected"):
                await events.wait(name)
            assert room.connection_state == ConnectionState.CONN_CONNECTED
        assert cluster.node_of("room") == 1
        for one, other in ((alice, bob), (bob, alice)):
            identity, sid = other.local_participant.identity, other.local_participant.sid
            await until(
                lambda a=one, i=identity, s=sid: i in a.remote_participants and a.remote_participants[i].sid == s,
                "they see each other again",
            )
        await alice.local_participant.publish_data(b"after")
        await until(lambda: heard == [b"before", b"after"], "the message after it")
    finally:
        for room, _ in joined:
            await room.disconnect()


async def test_an_offer_is_answered_over_its_own_link_only(livekit_server: Any, livekit_token: Any) -> None:
    """A server that gets the answer to an offer it has replaced gives the session up."""
    async with FaultProxy(livekit_server.url) as proxy:
        alice, events = await OURS.join(proxy.url, livekit_token("alice"), single=False)
        try:
            sid = alice.local_participant.sid
            await active(livekit_server, "alice")
            # Right behind the offer of the first resume the server asks for another one, at once.
            offer = proxy.watch("offer", identity="alice")
            answers = proxy.watch("answer", identity="alice", sender="client")
            await proxy.cut("alice")
            await offer.wait_fired()
            leave = rtc.LeaveRequest(action=rtc.LeaveRequest.Action.RESUME, reason=models.DisconnectReason.MIGRATION)
            await proxy.say("alice", rtc.SignalResponse(leave=leave))
            await events.wait("reconnected")
            await answers.wait_fired()
            await alice.local_participant.set_attributes({"still": "here"})
            assert answers.fired == 1
            assert alice.local_participant.sid == sid
            assert len(events.of("reconnecting")) == 1
        finally:
            await alice.disconnect()
