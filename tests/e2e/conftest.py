from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import aiolivekit

from .sdk import Sdk

OURS = Sdk("ours", aiolivekit)
PAIRS = ("ours-ours", "ours-official", "official-ours")


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> tuple[Sdk, Sdk]:
    """Who plays the first and who the second part."""
    first, second = request.param.split("-")
    official: ModuleType | None = None
    if "official" in (first, second):
        official = request.getfixturevalue("official")

    def sdk(name: str) -> Sdk:
        return OURS if name == "ours" else Sdk("official", official)  # type: ignore[arg-type]

    return sdk(first), sdk(second)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On the embedded server two of ours meet here; with the others it meets in `tests/interop`."""
    here = str(Path(__file__).parent)
    left_out = []
    for item in items:
        params = item.callspec.params if str(item.path).startswith(here) and hasattr(item, "callspec") else {}
        if params.get("livekit_server_kind") == "embedded" and params.get("pair", PAIRS[0]) != PAIRS[0]:
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture
def single(peer_mode: Any) -> bool:
    """Whether one peer connection is asked for."""
    return bool(peer_mode == "single")
