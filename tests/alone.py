"""Tests that no other worker's test may disturb: those that measure time, and those that have just failed.

Tests marked `alone` come first, one after another, and nothing else runs meanwhile. A test with servers and peers that
fails is played once more, alone: what then passes met a machine that was busy, and the summary shows how it failed.
Unit tests have no such excuse.

Two files are locked: everybody holds the room while their test runs, together or alone. Who wants to be alone holds
the gate while they wait for the others to come out, and until they have done.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

try:
    import fcntl
except ImportError:  # Windows: they take their chance there
    fcntl = None  # type: ignore[assignment]

__all__ = ["pytest_collection_modifyitems", "pytest_runtest_protocol", "pytest_runtest_setup"]

_UNIT = Path(__file__).parent / "unit"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those marked `alone` first: of the workers, which begin at different places, only one begins there."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is None)
    for item in items:
        if _UNIT not in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait until the test may run."""
    if fcntl is None or "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with _Room(item.config._tmp_path_factory.getbasetemp().parent) as room:  # type: ignore[attr-defined]
        room.enter(alone=item.get_closest_marker("alone") is not None)
        item.stash[_room] = room
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have a test that failed alone."""
    if getattr(item, "execution_count", 1) > 1 and (room := item.stash.get(_room, None)) is not None:
        room.leave()
        room.enter(alone=True)


class _Room:
    """The locks; they end with the process, whatever becomes of it."""

    def __init__(self, place: Path) -> None:
        self._gate = (place / "gate").open("w")
        self._room = (place / "room").open("w")

    def enter(self, *, alone: bool) -> None:
        how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        fcntl.flock(self._gate, how)
        fcntl.flock(self._room, how)
        if not alone:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def leave(self) -> None:
        fcntl.flock(self._room, fcntl.LOCK_UN)
        fcntl.flock(self._gate, fcntl.LOCK_UN)

    def __enter__(self) -> _Room:
        return self

    def __exit__(self, *_: Any) -> None:
        self._gate.close()
        self._room.close()


_room = pytest.StashKey[_Room]()
