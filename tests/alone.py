"""Tests marked `alone` measure time, so no other worker runs a test meanwhile; they come first, one after another.

Two files are locked: everybody holds the room while their test runs, together or alone. Who wants to be alone holds
the gate while they wait for the others to come out, and until they have done.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows: they take their chance there
    fcntl = None  # type: ignore[assignment]

__all__ = ["pytest_collection_modifyitems", "pytest_runtest_protocol"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them first: workers begin at different places of the list, and only one of them at the beginning."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait until the test may run."""
    if fcntl is None or "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    place = item.config._tmp_path_factory.getbasetemp().parent  # type: ignore[attr-defined]
    if item.get_closest_marker("alone") is None:
        with _held(place / "gate", fcntl.LOCK_SH):
            room = _held(place / "room", fcntl.LOCK_SH)
            room.__enter__()
        try:
            return (yield)
        finally:
            room.__exit__(None, None, None)
    with _held(place / "gate", fcntl.LOCK_EX), _held(place / "room", fcntl.LOCK_EX):
        return (yield)


@contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    """A lock; it ends with the process, whatever becomes of that."""
    with path.open("w") as file:
        fcntl.flock(file, how)
        yield
