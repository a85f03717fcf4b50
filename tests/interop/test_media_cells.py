"""A lean part of the media matrix (`make media-matrix` plays the whole): each behaviour, between all clients."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from aiolivekit.testing.plugin import LiveKitServer

from .checks import CHECKS
from .conftest import Stage
from .media_cells import LEAN, Cell
from .scene import Scene

pytestmark = pytest.mark.peer

TIMES = 15
"""How often a track is subscribed to again here; the matrix does it fifty times."""


@pytest.mark.parametrize(
    ("livekit_server_kind", "cell"),
    [pytest.param(cell.server, cell, id=str(cell)) for cell in LEAN],
    indirect=["livekit_server_kind"],
)
async def test_cell(request: pytest.FixtureRequest, livekit_server: LiveKitServer, cell: Cell) -> None:
    if cell.codec == "H264":
        request.getfixturevalue("h264")
    async with AsyncExitStack() as exits:
        stage = Stage(livekit_server, single=cell.mode == "single", request=request, exits=exits)
        await CHECKS[cell.behaviour](Scene(stage, cell, times=TIMES), cell)
