"""What the programs need: an environment, whose SDK they run on, and somebody to talk with."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType

import pytest

from aiolivekit.testing import RealServer
from aiolivekit.testing.plugin import unavailable
from tests.interop.chromium import Chromium
from tests.interop.client import Client
from tests.interop.conftest import chromium
from tests.interop.page_client import PageClient
from tests.interop.sdk_client import SdkClient

from .environment import EnvironmentUnavailableError, Framework, prepare
from .partners import Partner, Partners

__all__ = ["chromium"]

LONG = os.environ.get("AIOLIVEKIT_COMPAT") == "all"
"""`make compat` sets it; without it a few tests stand for all."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if LONG:
        return
    left_out = [item for item in items if item.get_closest_marker("compat_long") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _prepare(framework: Framework) -> Path:
    try:
        return prepare(framework)
    except EnvironmentUnavailableError as error:
        unavailable(f"no environment for {framework}: {error}")


@pytest.fixture(scope="session")
def agents_python() -> Path:
    """The interpreter that has livekit-agents, the official SDK it pins, and ours."""
    return _prepare("agents")


@pytest.fixture(scope="session")
def pipecat_python() -> Path:
    """The interpreter that has pipecat, the official SDK it needs, and ours."""
    return _prepare("pipecat")


@pytest.fixture
async def partners(request: pytest.FixtureRequest, real_server: RealServer, room_name: str) -> AsyncIterator[Partners]:
    """Who talks with the program under test, in the room of the test."""
    async with AsyncExitStack() as exits:

        async def bring(kind: Partner, identity: str) -> Client:
            client: Client
            if kind == "browser":
                browser: Chromium = request.getfixturevalue("chromium")
                client = PageClient(await browser.borrow(), browser, identity)
            else:
                official: ModuleType = request.getfixturevalue("official")
                client = SdkClient(official, "official", identity)
            exits.push_async_callback(client.close)
            return client

        yield Partners(real_server, room_name, bring)
