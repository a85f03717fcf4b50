"""A room in a notebook (`livekit.rtc.jupyter`).

Why it is here: livekit-agents shows one when an agent is run in a notebook. The page is the official package's, a
program for the browser of some 650 kB: it is used where that package is installed beside this one, as it always is
with livekit-agents.
"""

from __future__ import annotations

import html
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError

if TYPE_CHECKING:
    HTML = Any

__all__ = ["display_room", "room_html"]

_PAGE = Path("rtc", "resources", "jupyter-html", "index.html")


def room_html(url: str, token: str, *, width: str, height: str) -> HTML:
    """Return a page that joins a room, as an IPython object.

    The page holds the token in the clear: give one that expires soon.

    Args:
        url: Of the server.
        token: Says which room, and as whom the reader joins.
        width: Of the frame, in CSS.
        height: Of the frame, in CSS.

    Raises:
        UnsupportedError: If the official package, which has the page, is not installed.
        ModuleNotFoundError: If IPython is not installed.
    """
    page = _page().read_text(encoding="utf-8")
    page = page.replace("##livekit-token-placeholder##", token).replace("##livekit-url-placeholder##", url)
    # Colab puts what a cell shows into a frame of its own, and lets that one have the microphone.
    if "google.colab" not in sys.modules:
        # IPython suggests its IFrame for what begins with "<iframe"; that takes an address, not a page.
        page = (
            f' <iframe width="{width}" height="{height}" frameborder="0" allow="microphone; camera; autoplay" '
            f'srcdoc="{html.escape(page)}"></iframe>'
        )
    return import_module("IPython.core.display").HTML(page)


def display_room(url: str, token: str, *, width: str = "100%", height: str = "110px") -> None:
    """Show a page that joins a room below the cell; see `room_html`."""
    import_module("IPython.display").display(room_html(url, token, width=width, height=height))


def _page() -> Path:
    # Not through `livekit.rtc`, which may be this package.
    for place in import_module("livekit").__path__:
        page = Path(place) / _PAGE
        if page.is_file():
            return page
    raise UnsupportedError(
        "the page for notebooks comes with the official package: install livekit beside this one, or join from a "
        "browser by another page"
    )
