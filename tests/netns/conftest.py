"""A link that can be broken, and both servers behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from aiolivekit.testing.plugin import unavailable

from .network import Network, apart, missing_tools, network, probe
from .scene import Servers, servers


@pytest.fixture(scope="session")
def namespaces_allowed() -> None:
    """See that namespaces can be used here. Where the kernel forbids them no package helps: a skip, in CI as well."""
    tools = missing_tools()
    if tools:
        unavailable(f"no {' and no '.join(tools)}")
    reason = probe()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def link(namespaces_allowed: None) -> Iterator[Network]:
    """A client's link; it works when the test begins."""
    with apart(), network() as made:
        yield made


@pytest_asyncio.fixture
async def behind(link: Network, livekit_server_binary: Path) -> AsyncIterator[Servers]:
    """Both servers, on the other end of it."""
    async with servers(link, livekit_server_binary) as running:
        yield running
