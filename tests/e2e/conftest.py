from __future__ import annotations

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


@pytest.fixture
def single(peer_mode: Any) -> bool:
    """Whether one peer connection is asked for."""
    return bool(peer_mode == "single")
