"""The arguments that the commands for media share."""

from __future__ import annotations

from collections.abc import Sequence

from .output import UsageProblem

__all__ = ["is_url", "picture_size", "take_server"]

_SCHEMES = ("ws://", "wss://", "http://", "https://")


def is_url(word: str) -> bool:
    """Whether a word could be a server's URL."""
    return word.startswith(_SCHEMES)


def take_server(words: Sequence[str], url: str | None, *, given: bool) -> tuple[str, list[str]]:
    """Return the server's URL and the other words.

    Args:
        words: What stands on the command line.
        url: The environment's URL.
        given: Whether the first word is the server, if it looks like one.

    Raises:
        UsageProblem: If there is none.
    """
    rest = list(words)
    if rest and given and is_url(rest[0]):
        url = rest.pop(0)
    if not url:
        raise UsageProblem("the URL of the server is missing: give it, or set LIVEKIT_URL")
    return url, rest


def picture_size(text: str) -> tuple[int, int]:
    """Return width and height of a text like `1280x720`.

    Raises:
        UsageProblem: If it is none.
    """
    width, _, height = text.lower().partition("x")
    try:
        found = (int(width), int(height))
    except ValueError:
        raise UsageProblem(f"a size looks like 1280x720, not {text}") from None
    if min(found) < 1:
        raise UsageProblem(f"a size is positive, not {text}")
    return found
