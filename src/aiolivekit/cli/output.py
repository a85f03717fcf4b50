"""What the command line prints: masked, and safe to show on a terminal."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, NoReturn

import typer

from ..errors import LiveKitError
from .masking import secrets

__all__ = ["UsageProblem", "clip", "describe_error", "fail", "print_error", "print_json", "print_line", "printable"]

_WORDS = re.compile(r"[A-Z][a-z]+|[A-Z]+(?![a-z])")
_ACRONYMS = {"url": "URL", "tls": "TLS"}
_INCOMPLETE = {
    "protocol",
    "TLS",
    "transport",
    "publish",
    "request",
    "media",
    "negotiation",
    "engine",
    "connect",
    "fork",
}
"""Kinds that are no description without the word "error"."""


class UsageProblem(Exception):  # noqa: N818 - its name says what the user sees
    """The command cannot be run with these options; ends it with status 2."""

    exit_code = 2

    def format_message(self) -> str:
        """Return what is wrong, as Click's own errors do."""
        return str(self)


def printable(text: str) -> str:
    """Return the text with what does not print (control characters, line ends, bidirectional marks) spelled out.

    Names and messages come from other participants: they must not steer the terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters, with an ellipsis where more were."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def print_line(text: str) -> None:
    """Print a line of text."""
    print(secrets.mask(text), flush=True)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(secrets.mask(json.dumps(value, ensure_ascii=False)), flush=True)


def print_error(text: str) -> None:
    """Print one line to the standard error output."""
    words = " ".join(text.split())
    print(f"aiolivekit: {secrets.mask(printable(words))}", file=sys.stderr, flush=True)


def describe_error(error: LiveKitError) -> str:
    """Return the kind of an error in words, and its message: `(token expired): the token has expired`."""
    words = _WORDS.findall(type(error).__name__.removesuffix("Error"))
    kind = " ".join(_ACRONYMS.get(word.lower(), word.lower()) for word in words)
    if kind in _INCOMPLETE:
        kind += " error"
    return f"({kind}): {error}" if str(error) else f"({kind})"


def fail(text: str) -> NoReturn:
    """Print an error and end with status 1."""
    print_error(text)
    raise typer.Exit(1)
