"""Keeps tokens and secrets out of everything the command line prints."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

__all__ = ["Secrets", "secrets", "short_secrets_allowed"]

_MASK = "•••"
_JWT = re.compile(r"eyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?")
_OPTIONS = ("--token", "--api-secret")
_VARIABLES = ("LIVEKIT_TOKEN", "LIVEKIT_API_SECRET")
_UNMISTAKABLE = 16
"""From this length on a secret is replaced wherever it occurs; a shorter one may be a word (`livekit-server --dev`
has the secret "secret") and is replaced where it stands by itself."""


class Secrets:
    """The secrets this process was given."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def add(self, *values: str | None) -> None:
        """Mask these from now on."""
        self._values.update(value for value in values if value)

    def add_given(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Mask what the user gave, before anything can fail and quote it."""
        self.add(*_option_values(arguments), *(environment.get(name) for name in _VARIABLES))

    def mask(self, text: str) -> str:
        """Return the text without the secrets, and without anything that looks like a token."""
        # The longest first: one may be a part of another.
        for value in sorted(self._values, key=len, reverse=True):
            if len(value) >= _UNMISTAKABLE:
                text = text.replace(value, _MASK)
            else:
                text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", _MASK, text)
        return _JWT.sub(_MASK, text)


def _option_values(arguments: Sequence[str]) -> Iterator[str]:
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in _OPTIONS:
            if equals:
                yield value
            elif index + 1 < len(arguments):
                yield arguments[index + 1]


secrets = Secrets()
"""Those of this process."""


@contextmanager
def short_secrets_allowed() -> Iterator[None]:
    """Keep PyJWT from warning about a short secret: that of `livekit-server --dev` is one, and the user knows it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The HMAC key is")
        yield
