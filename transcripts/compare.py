"""The differences of two recordings, each with the path to where it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .streams import Said, StreamKey

__all__ = ["ABSENT", "Difference", "differences"]


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Any = _Absent()
"""What stands for the side that says nothing."""


@dataclass(frozen=True)
class Difference:
    """One difference.

    Args:
        step: The step of the scenario.
        identity: Whose connection.
        path: `server` or `client`, then kind and fields: `server.join.participant.permission.hidden`.
        real: What the real server's recording has there; `ABSENT` for nothing.
        dev: What the dev server's has.
    """

    step: str
    identity: str
    path: str
    real: Any
    dev: Any


def differences(
    real: Mapping[StreamKey, list[Said]], dev: Mapping[StreamKey, list[Said]]
) -> tuple[int, list[Difference]]:
    """Return how many messages were compared, and the differences."""
    compared, found = 0, []
    for key in dict.fromkeys([*real, *dev]):
        ours, theirs = dev.get(key, []), real.get(key, [])
        compared += max(len(ours), len(theirs))
        for path, expected, got in _stream(key, theirs, ours):
            found.append(Difference(key.step, key.identity, f"{key.origin}.{path}", expected, got))
    return compared, found


def _stream(key: StreamKey, real: list[Said], dev: list[Said]) -> Iterator[tuple[str, Any, Any]]:
    if key.name.startswith("order"):
        expected, got = [s.kind for s in real], [s.kind for s in dev]
        if expected != got and sorted(expected) == sorted(got):
            yield "order", expected, got
        return
    about = key.name if key.name.startswith("update about") else ""
    matcher = difflib.SequenceMatcher(None, [s.kind for s in real], [s.kind for s in dev], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            for expected, got in zip(real[a:b], dev[c:d], strict=True):
                yield from tree_differences(about or expected.kind, expected.tree, got.tree)
            continue
        for said in real[a:b]:
            yield about or said.kind, said.tree, ABSENT
        for said in dev[c:d]:
            yield about or said.kind, ABSENT, said.tree


def tree_differences(path: str, real: Any, dev: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield path and both sides of each difference of two trees."""
    if isinstance(real, dict) and isinstance(dev, dict):
        for name in dict.fromkeys([*real, *dev]):
            yield from tree_differences(f"{path}.{name}", real.get(name, ABSENT), dev.get(name, ABSENT))
    elif _alike(real, dev):
        for index, (expected, got) in enumerate(zip(real, dev, strict=True)):
            yield from tree_differences(f"{path}.{index}", expected, got)
    elif real != dev:
        yield path, real, dev


def _alike(real: Any, dev: Any) -> bool:
    """Whether both are lists of as many messages, to be compared one by one."""
    return (
        isinstance(real, list)
        and isinstance(dev, list)
        and len(real) == len(dev)
        and all(isinstance(member, dict) for member in [*real, *dev])
    )
