"""The pytest plugin: a LiveKit server for each test, and rooms in it.

pytest loads this module at every start in every project that has the package installed, so it imports nothing heavy.
"""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .embedded import EmbeddedServer
    from .fault_control import FaultControl
    from .real_server import RealServer

ServerKind = Literal["embedded", "real"]

_LOG_TAIL = 4000
_ACQUAINT_LIMIT = 15.0
"""Seconds in which two participants of a pair have to see each other; the real server takes up to three."""

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--livekit-server`."""
    parser.getgroup("livekit").addoption(
        "--livekit-server",
        choices=["embedded", "real", "both"],
        default=None,
        help="the server of the fixture livekit_server: the embedded dev server, a real LiveKit server, or one after "
        "the other; without it, the embedded one, and the real one too where its binary is to be had",
    )


def _kinds(config: pytest.Config) -> list[ServerKind]:
    chosen = config.getoption("--livekit-server")
    if chosen == "both":
        return ["embedded", "real"]
    if chosen is not None:
        return [chosen]
    return ["embedded", "real"] if _binary(config, build=False) is not None else ["embedded"]


_BINARY = pytest.StashKey["Path | str"]()


def _binary(config: pytest.Config, *, build: bool) -> Path | None:
    """Return the real server's binary, or `None`; the reason is kept."""
    from .server_binary import ServerUnavailableError, find_server

    found = config.stash.get(_BINARY, None)
    if found is None:
        try:
            found = find_server(build=build)
        except ServerUnavailableError as error:
            found = str(error)
        config.stash[_BINARY] = found
    return None if isinstance(found, str) else found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that use a server on each kind of server; those with faults on the embedded one."""
    names = metafunc.fixturenames
    if "livekit_server" not in names or "livekit_server_kind" in _parametrised(metafunc):
        return
    kinds: list[ServerKind] = ["embedded"] if "livekit_faults" in names else _kinds(metafunc.config)
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


@pytest.fixture(scope="session")
def livekit_server_binary(pytestconfig: pytest.Config) -> Path:
    """The binary of the real server; never built unasked. A project may override the fixture."""
    binary = _binary(pytestconfig, build=False)
    if binary is None:
        unavailable(f"no real LiveKit server: {pytestconfig.stash[_BINARY]}")
    return binary


@pytest.fixture(scope="session")
def livekit_real_server(livekit_server_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One real server for the whole run."""
    from .real_server import RealServer

    log = tmp_path_factory.mktemp("livekit-server") / "server.log"
    with RealServer(binary=livekit_server_binary, log_path=log) as server:
        yield server


class LiveKitServer:
    """The server of a test, embedded or real.

    Args:
        server: The server itself.
        room: The room of the test: tokens are for it unless told otherwise.
    """

    def __init__(self, server: EmbeddedServer | RealServer, room: str) -> None:
        self.server = server
        self.room_name = room
        self.kind: ServerKind = "embedded" if hasattr(server, "faults") else "real"
        self.url = server.url
        self.http_url = server.http_url
        self.api_key = server.api_key
        self.api_secret = server.api_secret

    def token(self, identity: str, *, room: str | None = None, **claims: Any) -> str:
        """Return a token.

        Args:
            identity: The participant's identity.
            room: The room's name.
            claims: As `aiolivekit.testing.access_token` takes them: `can_publish=False`, `attributes={…}`, …
        """
        from .tokens import access_token

        return access_token(
            self.api_key, self.api_secret, identity, room=self.room_name if room is None else room, **claims
        )

    def admin_token(self, room: str = "") -> str:
        """Return a token for `RoomService`."""
        return self.token("admin", room=room, room_join=False, room_admin=True, room_create=True, room_list=True)

    @property
    def embedded(self) -> EmbeddedServer:
        """The embedded server, to look inside.

        Raises:
            TypeError: If the server is a real one.
        """
        if self.kind != "embedded":
            raise TypeError("nobody can look inside a real server")
        return self.server  # type: ignore[return-value]


@pytest.fixture
def livekit_room_name() -> str:
    """A room name no other test uses."""
    return f"room-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def livekit_server(
    request: pytest.FixtureRequest, livekit_server_kind: ServerKind, livekit_room_name: str
) -> Iterator[LiveKitServer]:
    """A LiveKit server: an embedded one of the test's own, or the real one all tests share."""
    # libwebrtc reads it at the first peer connection of the process; without it loopback has no candidates.
    os.environ.setdefault("WRTC_ALLOW_LOOPBACK", "1")
    if livekit_server_kind == "real":
        yield LiveKitServer(request.getfixturevalue("livekit_real_server"), livekit_room_name)
        return
    try:
        from .embedded import EmbeddedServer

        server = EmbeddedServer(room=livekit_room_name)
        server.start()
    except ImportError as error:
        unavailable(f"the embedded server needs the extra aiolivekit[server]: {error}")
    try:
        yield LiveKitServer(server, livekit_room_name)
    finally:
        server.stop()


@pytest.fixture
def livekit_faults(livekit_server: LiveKitServer) -> FaultControl:
    """What may be made to go wrong; such tests run on the embedded server alone."""
    return livekit_server.embedded.faults


@pytest.fixture
def livekit_token(livekit_server: LiveKitServer) -> Callable[..., str]:
    """`livekit_token(identity, **claims)`: a token for the room of the test."""
    return livekit_server.token


@pytest.fixture(scope="session")
def livekit_rtc() -> Any:
    """The client library of `livekit_room` and `room_pair`; override it to return `livekit.rtc`."""
    return importlib.import_module("aiolivekit")


RoomFactory = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def livekit_room(livekit_server: LiveKitServer, livekit_rtc: Any) -> RoomFactory:
    """A factory of rooms that join at the start of an `async with` and leave at its end.

    It takes an identity, options of the client library, and claims of the token.
    """

    @asynccontextmanager
    async def join(identity: str, options: Any = None, **claims: Any) -> AsyncIterator[Any]:
        room = livekit_rtc.Room()
        settings = livekit_rtc.RoomOptions() if options is None else options
        await room.connect(livekit_server.url, livekit_server.token(identity, **claims), settings)
        try:
            yield room
        finally:
            await room.disconnect()

    return join


@pytest.fixture
def room_pair(livekit_room: RoomFactory) -> RoomFactory:
    """A factory of two rooms at once, which see each other when the `async with` begins.

    It takes two identities (`alice` and `bob` if left out) and options of the client library.
    """

    @asynccontextmanager
    async def pair(first: str = "alice", second: str = "bob", options: Any = None) -> AsyncIterator[tuple[Any, Any]]:
        async with livekit_room(first, options) as one, livekit_room(second, options) as two:
            await _see(one, second)
            await _see(two, first)
            yield one, two

    return pair


async def _see(room: Any, identity: str) -> None:
    import asyncio

    arrived = asyncio.Event()

    def look(*_: Any) -> None:
        if identity in room.remote_participants:
            arrived.set()

    room.on("participant_connected", look)
    try:
        look()
        async with asyncio.timeout(_ACQUAINT_LIMIT):
            await arrived.wait()
    except TimeoutError:
        raise AssertionError(f"{identity} was not seen within {_ACQUAINT_LIMIT:g} s") from None
    finally:
        room.off("participant_connected", look)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test what its server has to say."""
    report = yield
    funcargs = getattr(item, "funcargs", {})
    wrapper = funcargs.get("livekit_server")
    if report.failed and isinstance(wrapper, LiveKitServer):
        if wrapper.kind == "real":
            log = getattr(wrapper.server, "log", "")
            if log:
                report.sections.append(("log of the LiveKit server", log[-_LOG_TAIL:]))
        elif fired := wrapper.embedded.faults.log if wrapper.embedded.running else []:
            lines = [f"{each.fault} {each.identity} {each.detail}" for each in fired]
            report.sections.append(("faults of the LiveKit server", "\n".join(lines)))
    return report
