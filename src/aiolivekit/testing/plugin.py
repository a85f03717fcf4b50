"""The pytest plugin: a LiveKit server for each test, and rooms in it. docs/testing.md shows how to use it.

pytest loads this module at every start in every project that has the package installed, so it imports nothing heavy.
"""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pytest

from .server_under_test import LiveKitServer, ServerKind

if TYPE_CHECKING:
    from pathlib import Path

    from .fault_control import FaultControl
    from .real_server import RealServer

__all__ = ["LiveKitServer", "RoomFactory", "RoomPairFactory", "ServerKind", "TokenFactory"]

_numbers = itertools.count(1)


class TokenFactory(Protocol):
    """What `livekit_token` is; the claims are the arguments of `aiolivekit.testing.access_token`."""

    def __call__(self, identity: str, *, room: str | None = None, **claims: Any) -> str:
        """Return a token for the room of the test, or for another one."""


class RoomFactory(Protocol):
    """What `livekit_room` is; the claims are those of the token."""

    def __call__(self, identity: str, options: Any = None, **claims: Any) -> AbstractAsyncContextManager[Any]:
        """Return a room that joins at the start of `async with` and leaves at its end."""


class RoomPairFactory(Protocol):
    """What `room_pair` is; the claims are those of both tokens."""

    def __call__(
        self, first: str = "alice", second: str = "bob", options: Any = None, **claims: Any
    ) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        """Return two rooms that see each other when `async with` begins."""


# -- which server --


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--livekit-server`."""
    parser.getgroup("livekit").addoption(
        "--livekit-server",
        choices=["embedded", "real", "both"],
        default=None,
        help="the server of the fixture livekit_server: the embedded dev server, a real LiveKit server, or one after "
        "the other; without it, the embedded one, and the real one too where its binary is to be had",
    )


_BINARY = pytest.StashKey["Path | str"]()


def _binary(config: pytest.Config) -> Path | str:
    """Return the real server's binary, or why there is none; it is never built here."""
    from .server_binary import ServerUnavailableError, find_server

    found = config.stash.get(_BINARY, None)
    if found is None:
        try:
            found = find_server(build=False)
        except ServerUnavailableError as error:
            found = str(error)
        config.stash[_BINARY] = found
    return found


def _kinds(config: pytest.Config) -> list[ServerKind]:
    chosen = config.getoption("--livekit-server")
    if chosen == "both":
        return ["embedded", "real"]
    if chosen is not None:
        return [chosen]
    # Who names a binary wants it used; if it is not there, that is to be seen.
    if os.environ.get("AIOLIVEKIT_LIVEKIT_SERVER") or not isinstance(_binary(config), str):
        return ["embedded", "real"]
    return ["embedded"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that use a server on each kind of server; those with faults on the embedded one."""
    names = metafunc.fixturenames
    if "livekit_server_kind" not in names or "livekit_server_kind" in _parametrised(metafunc):
        return
    kinds = _kinds(metafunc.config)
    if "livekit_faults" in names and "embedded" in kinds:
        kinds = ["embedded"]
    metafunc.parametrize("livekit_server_kind", kinds, indirect=True)


def _parametrised(metafunc: pytest.Metafunc) -> set[str]:
    found: set[str] = set()
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        found.update(name.strip() for name in (names.split(",") if isinstance(names, str) else names))
    return found


def unavailable(what: str) -> NoReturn:
    """Skip on a user's machine; fail where CI is set, so that nothing goes untested there unseen."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{what} (a failure, not a skip, because CI is set)", pytrace=False)
    pytest.skip(what)


@pytest.fixture
def livekit_server_kind(request: pytest.FixtureRequest) -> ServerKind:
    """Which server the test runs on: `embedded` or `real`."""
    kind: ServerKind = getattr(request, "param", "embedded")
    return kind


# -- servers --


def _allow_loopback() -> None:
    # libwebrtc reads it at the first peer connection of the process; without it loopback has no candidates.
    os.environ.setdefault("WRTC_ALLOW_LOOPBACK", "1")


@pytest.fixture(scope="session")
def livekit_server_binary(pytestconfig: pytest.Config) -> Path:
    """The binary of the real server; never built unasked. A project may override the fixture."""
    binary = _binary(pytestconfig)
    if isinstance(binary, str):
        unavailable(f"no real LiveKit server: {binary}")
    return binary


@pytest.fixture(scope="session")
def livekit_real_server(livekit_server_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One real server for the whole run."""
    from .real_server import RealServer

    _allow_loopback()
    log = tmp_path_factory.mktemp("livekit-server") / "server.log"
    with RealServer(binary=livekit_server_binary, log_path=log) as server:
        yield server


@pytest.fixture
def livekit_room_name() -> str:
    """A room name no other test uses."""
    return f"room-{os.getpid()}-{next(_numbers)}"


_SERVER = pytest.StashKey[LiveKitServer]()


@pytest.fixture
def livekit_server(
    request: pytest.FixtureRequest, livekit_server_kind: ServerKind, livekit_room_name: str
) -> Iterator[LiveKitServer]:
    """A LiveKit server: an embedded one of the test's own, or the real one all tests share."""
    _allow_loopback()
    if livekit_server_kind == "real":
        server = request.node.stash[_SERVER] = LiveKitServer(
            request.getfixturevalue("livekit_real_server"), livekit_room_name
        )
        yield server
        return
    try:
        from .embedded import EmbeddedServer

        embedded = EmbeddedServer(room=livekit_room_name)
        embedded.start()
    except ImportError as error:
        unavailable(f"the embedded server needs the extra aiolivekit[testing]: {error}")
    try:
        server = request.node.stash[_SERVER] = LiveKitServer(embedded, livekit_room_name)
        yield server
    finally:
        embedded.stop()


@pytest.fixture
def livekit_faults(livekit_server: LiveKitServer) -> FaultControl:
    """What may be made to go wrong; such tests run on the embedded server alone."""
    if livekit_server.kind == "real":
        pytest.skip("the real LiveKit server cannot be asked for faults")
    return livekit_server.faults


@pytest.fixture
def livekit_token(livekit_server: LiveKitServer) -> TokenFactory:
    """`livekit_token(identity, **claims)`: a token for the room of the test."""
    return livekit_server.token


# -- rooms --


@pytest.fixture(scope="session")
def livekit_rtc() -> Any:
    """The client library of `livekit_room` and `room_pair`; override it to return `livekit.rtc`."""
    return importlib.import_module("aiolivekit")


@pytest.fixture
def livekit_room(livekit_server: LiveKitServer, livekit_rtc: Any) -> RoomFactory:
    """A factory of rooms that join at the start of an `async with` and leave at its end.

    It takes an identity, options of the client library, and claims of the token.
    """
    from .rooms import joined

    def join(identity: str, options: Any = None, **claims: Any) -> AbstractAsyncContextManager[Any]:
        return joined(livekit_rtc, livekit_server.url, livekit_server.token(identity, **claims), options)

    return join


@pytest.fixture
def room_pair(livekit_room: RoomFactory) -> RoomPairFactory:
    """A factory of two rooms at once, which see each other when the `async with` begins.

    It takes two identities (`alice` and `bob` if left out), options of the client library, and claims of the tokens.
    """
    from .rooms import acquainted

    @asynccontextmanager
    async def pair(
        first: str = "alice", second: str = "bob", options: Any = None, **claims: Any
    ) -> AsyncIterator[tuple[Any, Any]]:
        async with livekit_room(first, options, **claims) as one, livekit_room(second, options, **claims) as two:
            await acquainted(one, second)
            await acquainted(two, first)
            yield one, two

    return pair


# -- reports --


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test what its server has to say."""
    report = yield
    server = item.stash.get(_SERVER, None)
    if report.failed and server is not None:
        report.sections.extend(server.report())
    return report
