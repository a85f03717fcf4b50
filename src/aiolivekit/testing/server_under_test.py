"""The server a test runs on, embedded or real, behind one face."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .embedded import EmbeddedServer
    from .fault_control import FaultControl
    from .real_server import RealServer
    from .snapshots import RoomSnapshot

__all__ = ["LiveKitServer", "ServerKind"]

ServerKind = Literal["embedded", "real"]

_LOG_TAIL = 4000
_JWT = re.compile(r"eyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?")


class LiveKitServer:
    """The server of a test.

    Args:
        server: The server itself, which runs.
        room: The room of the test: tokens are for it unless told otherwise.
    """

    def __init__(self, server: EmbeddedServer | RealServer, room: str) -> None:
        self.server = server
        self.room_name = room
        self.kind: ServerKind = "embedded" if getattr(server, "kind", "") == "embedded" else "real"
        self.url = server.url
        self.http_url = server.http_url
        self.api_key = server.api_key
        self.api_secret = server.api_secret
        # The real one is shared: what it logged before is another test's.
        self._log_start = len(getattr(server, "log", ""))

    def token(self, identity: str, *, room: str | None = None, **claims: Any) -> str:
        """Return an access token.

        Args:
            identity: The participant's identity.
            room: The room the grants are for; the room of the test when `None`.
            claims: The other arguments of `aiolivekit.testing.access_token`: `can_publish=False`, `ttl=60`, …
        """
        from ..core.access_token import access_token

        room = self.room_name if room is None else room
        return access_token(self.api_key, self.api_secret, identity, room=room, **claims)

    def admin_token(self, room: str = "") -> str:
        """Return a token for `RoomService`: for the named room, and to create, list and delete any."""
        return self.token("", room=room, room_join=False, room_admin=True, room_create=True, room_list=True)

    # -- inside; of the embedded one alone --

    @property
    def embedded(self) -> EmbeddedServer:
        """The embedded server itself.

        Raises:
            TypeError: If the server is a real one.
        """
        if self.kind != "embedded":
            raise TypeError("nobody can look inside a real server, nor ask it for faults")
        return self.server  # type: ignore[return-value]

    @property
    def faults(self) -> FaultControl:
        """What may be made to go wrong; raises `TypeError` on a real server."""
        return self.embedded.faults

    @property
    def rooms(self) -> list[RoomSnapshot]:
        """The rooms as they are now; raises `TypeError` on a real server."""
        return self.embedded.rooms

    def room(self, name: str | None = None) -> RoomSnapshot:
        """Return a room as it is now.

        Args:
            name: Its name; the room of the test when `None`.

        Raises:
            TypeError: On a real server.
            LookupError: If there is none of that name.
        """
        return self.embedded.room(self.room_name if name is None else name)

    # -- for reports --

    def report(self) -> list[tuple[str, str]]:
        """Return what the server has to say about a failed test, as titles and texts; no secret is in it."""
        return [(title, self._masked(text)) for title, text in self._sections() if text]

    def _sections(self) -> list[tuple[str, str]]:
        if self.kind == "real":
            return [("log of the LiveKit server", self.server.log[self._log_start :][-_LOG_TAIL:])]  # type: ignore[union-attr]
        control = self.embedded.faults
        fired = [f"{each.fault} {each.identity} {each.detail}".rstrip() for each in control.log]
        waiting = [f"{each!r}" for each in control.installed if not each.fired]
        return [
            ("faults of the LiveKit server", "\n".join(fired)[-_LOG_TAIL:]),
            ("faults of the LiveKit server that never fired", "\n".join(waiting)),
        ]

    def _masked(self, text: str) -> str:
        return _JWT.sub("•••", text.replace(self.api_secret, "•••"))
