"""Who plays in a cell of the media matrix, and where."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .capabilities import ClientKind
from .media_cells import Cell
from .page_client import PageClient
from .page_studio import PageStudio
from .sdk_client import SdkClient
from .sdk_studio import SdkStudio
from .studio import Studio

if TYPE_CHECKING:
    from .conftest import Stage

Facts = dict[str, Any]
"""What was found beside that all is well: the modes in force, how long something took."""

Check = Callable[["Scene", Cell], Awaitable[Facts]]


class Scene:
    """The studios of a cell.

    Args:
        stage: Where they come on.
        cell: Which cell it is.
        times: How often what is done again and again is done.
    """

    def __init__(self, stage: Stage, cell: Cell, *, times: int = 50) -> None:
        self.stage = stage
        self.times = times
        self.studios: dict[str, Studio[Any]] = {}
        self._cell = cell

    async def studio(self, kind: ClientKind, identity: str, *, dynacast: bool = False) -> Studio[Any]:
        """A client that has joined."""
        client = await self.stage.join(kind, identity, dynacast=dynacast)
        found = await client.peer_connections()
        if kind != "official":
            # It tells only once there is something to tell of.
            assert found == (1 if self.stage.single else 2), f"{identity} has {found} peer connections"
        if isinstance(client, PageClient):
            studio: Studio[Any] = PageStudio(client)
        else:
            assert isinstance(client, SdkClient)
            studio = SdkStudio(client)
        self.studios[identity] = studio
        return studio

    async def two(self) -> tuple[Studio[Any], Studio[Any]]:
        """Alice publishes, bob receives."""
        return await self.studio(self._cell.publisher, "alice"), await self.studio(self._cell.subscriber, "bob")

    @staticmethod
    def listen_for_dynacast(studio: Studio[Any]) -> list[float]:
        """When the server's words on what is watched came from now on; ours alone can be asked."""
        words: list[float] = []
        if studio.kind == "ours":
            tracks = studio.client.room.local_participant._tracks
            watched = tracks.watched

            def note(update: Any) -> None:
                words.append(time.monotonic())
                watched(update)

            tracks.watched = note
        return words
