from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiolivekit.testing import EmbeddedServer


@pytest.fixture(scope="module")
def dev_server() -> Iterator[EmbeddedServer]:
    """One embedded server for all tests of a module; each uses it alone, and clears its faults."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def single(peer_mode: str) -> bool:
    """Whether one peer connection is asked for."""
    return peer_mode == "single"
