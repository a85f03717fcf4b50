"""The cells of the media matrix: who publishes what to whom, in which codec, on which server, in which way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields

from .capabilities import ClientKind

FILM_CODECS = ("VP8", "VP9", "AV1", "H264")
SVC_CODECS = ("VP9", "AV1")
SERVERS = ("real", "embedded")
MODES = ("single", "dual")

PAIRS: tuple[tuple[ClientKind, ClientKind], ...] = (
    ("ours", "ours"),
    ("ours", "official"),
    ("official", "ours"),
    ("ours", "browser"),
    ("browser", "ours"),
)
"""Publisher and subscriber; one is always ours."""

FILMS = ("plain", "layers", "dynacast", "screen", "many", "again")
SOUNDS = ("sound", "stereo", "dtx", "red")
BOTH = ("mute", "replace", "republish", "late")
"""What concerns films, sounds, and a film and a sound at once."""

EVERY_CODEC = ("plain", "layers")
"""What is done in every codec by everybody; of the rest every pair of values meets."""

_SUBSCRIBED_ONCE = "1.2.1 never hears of a second subscription with two peer connections"
LEFT_OUT: dict[tuple[str, str, str, str], str] = {
    ("replace", "official", "*", "*"): "1.2.1 does not replace tracks",
    ("again", "*", "official", "dual"): _SUBSCRIBED_ONCE,
    ("stereo", "official", "*", "*"): "1.2.1 does not announce its stereo, so the server sends one channel",
    ("stereo", "*", "official", "dual"): "1.2.1 asks for stereo with one peer connection alone (its peer_transport.rs)",
}
"""Behaviour, publisher, subscriber and mode of what other people's clients do not do, with the reasons."""


@dataclass(frozen=True, order=True)
class Cell:
    """One run.

    Args:
        behaviour: What is checked, in `video_checks` or `audio_checks`.
        codec: Of the film; `Opus` where there is none.
        publisher: Who publishes.
        subscriber: Who receives.
        server: On which server.
        mode: With one peer connection or two.
    """

    behaviour: str
    codec: str
    publisher: ClientKind
    subscriber: ClientKind
    server: str
    mode: str

    def __str__(self) -> str:
        return "-".join(getattr(self, each.name) for each in fields(self))

    @property
    def left_out(self) -> str | None:
        """Why it is not played, if it is not."""
        mine = (self.behaviour, self.publisher, self.subscriber, self.mode)
        for key, reason in LEFT_OUT.items():
            if all(wanted in ("*", value) for wanted, value in zip(key, mine, strict=True)):
                return reason
        return None


def all_cells(codecs: tuple[str, ...] = FILM_CODECS) -> Iterator[Cell]:
    """Yield every cell, those that are left out among them, in a fixed order.

    `EVERY_CODEC` and sounds are whole; of the rest each behaviour meets every pair of clients on every server in every
    mode, and the codecs take turns.
    """
    turn = itertools.count()
    for behaviour in (*FILMS, *BOTH, *SOUNDS):
        for (publisher, subscriber), server, mode in itertools.product(PAIRS, SERVERS, MODES):
            if behaviour in SOUNDS:
                used: tuple[str, ...] = ("Opus",)
            elif behaviour in EVERY_CODEC:
                used = codecs
            else:
                used = (codecs[next(turn) % len(codecs)],)
            for codec in used:
                yield Cell(behaviour, codec, publisher, subscriber, server, mode)
        # So that a pair of clients does not always have the same codec.
        next(turn)


LEAN: tuple[Cell, ...] = (
    Cell("plain", "AV1", "official", "ours", "real", "single"),
    Cell("plain", "H264", "browser", "ours", "real", "dual"),
    Cell("layers", "VP9", "browser", "ours", "real", "dual"),
    Cell("layers", "AV1", "ours", "official", "real", "single"),
    Cell("layers", "VP8", "ours", "browser", "embedded", "dual"),
    Cell("dynacast", "VP8", "ours", "browser", "embedded", "single"),
    Cell("screen", "VP8", "browser", "ours", "embedded", "single"),
    Cell("many", "VP8", "ours", "official", "real", "dual"),
    Cell("again", "VP9", "official", "ours", "real", "dual"),
    Cell("mute", "VP9", "ours", "official", "embedded", "single"),
    Cell("replace", "VP9", "ours", "browser", "real", "single"),
    Cell("republish", "VP8", "browser", "ours", "real", "single"),
    Cell("late", "AV1", "ours", "browser", "real", "dual"),
    Cell("sound", "Opus", "official", "ours", "embedded", "dual"),
    Cell("stereo", "Opus", "ours", "browser", "real", "single"),
    Cell("dtx", "Opus", "browser", "ours", "embedded", "dual"),
    Cell("red", "Opus", "ours", "official", "real", "dual"),
)
"""What is played with every test run: each behaviour, and each pair of clients, codec, server and mode somewhere."""
