"""How to get into a server that was just started: URL, key, tokens, and lines to paste."""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

__all__ = ["Invitation"]

_MEET = "https://meet.livekit.io/custom"
"""LiveKit's hosted example app joins any server with a token that its address carries."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What who has started a server needs.

    Attributes:
        server: What it is, for people.
        url: Where it is.
        room: The room the tokens are for.
        identity: Whom `token` is for.
        api_key: A key the server knows.
        api_secret: The secret of that key.
        token: For a program.
        browser_token: For a browser; a participant of its own, since two with one identity put each other out.
        show_secret: Whether the secret was made up, so that the user has to be told.
    """

    server: str
    url: str
    room: str
    identity: str
    api_key: str
    api_secret: str = field(repr=False)
    token: str = field(repr=False)
    browser_token: str = field(repr=False)
    show_secret: bool = True

    @property
    def browser_line(self) -> str | None:
        """An address for a browser on this machine; `None` where no browser would let it work.

        The page is secure, so it may connect to `ws:` on the browser's own machine alone.
        """
        host = urlsplit(self.url).hostname or ""
        try:
            local = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if not local:
            return None
        return f"{_MEET}?{urlencode({'liveKitUrl': self.url, 'token': self.browser_token})}"

    @property
    def join_line(self) -> str:
        """A command that joins."""
        return shlex.join(["aiolivekit", "join", self.url, "--token", self.token])

    def lines(self) -> list[tuple[str, str]]:
        """Return label and text of each line to show; a line without a label goes on with the one before."""
        lines = [("URL", self.url), ("API key", self.api_key)]
        if self.show_secret:
            lines.append(("secret", self.api_secret))
        lines += [
            (f"token of {self.identity} for the room {self.room}", self.token),
            ("join from here", self.join_line),
        ]
        browser = self.browser_line
        if browser is not None:
            lines.append(("join from a browser on this machine (paste it; the page is LiveKit's)", browser))
        else:
            lines.append(("join from a browser", "a page on the web may only reach ws: on its own machine, not here"))
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return it as the fields of a JSON object, tokens included."""
        fields: dict[str, Any] = {
            "server": self.server,
            "url": self.url,
            "room": self.room,
            "identity": self.identity,
            "api_key": self.api_key,
            "token": self.token,
            "browser": self.browser_line,
        }
        if self.show_secret:
            fields["api_secret"] = self.api_secret
        return fields
