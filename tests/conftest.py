"""Fixtures for all tests: a real LiveKit server, tokens for it, and the official SDK as the other side."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import hypothesis
import pytest

# libwebrtc reads it at the first peer connection of the process; without it loopback has no candidates.
os.environ["WRTC_ALLOW_LOOPBACK"] = "1"

# What the developer chose for own programs is not for tests; those of H.264 switch it on themselves.
os.environ["AIOLIVEKIT_OPENH264"] = "off"

# A shell that runs the tests in the background has them ignore Ctrl-C, and so the programs they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from aiolivekit import disable_h264, enable_h264
from aiolivekit.testing import RealServer, ServerUnavailableError, find_server
from aiolivekit.testing.plugin import unavailable as _unavailable
from tests import official_audio
from tests.alone import (  # noqa: F401 - hooks
    pytest_collection_modifyitems,
    pytest_runtest_protocol,
    pytest_runtest_setup,
)
from tests.openh264 import OpenH264UnavailableError, build_openh264

# What one example takes says how busy the machine is, and nothing else.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

PeerMode = Literal["single", "dual"]
_MODES: tuple[PeerMode, ...] = ("single", "dual")
_LOG_TAIL = 4000


class TokenMaker(Protocol):
    """Makes tokens for the real server; they are for the room of the test unless told otherwise."""

    def __call__(self, identity: str, *, room: str = ..., **claims: Any) -> str: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--peer-mode",
        choices=[*_MODES, "both"],
        default="both",
        help="run tests that take the fixture peer_mode with one peer connection, with two, or both ways",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "peer_mode" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--peer-mode")
        metafunc.parametrize("peer_mode", _MODES if chosen == "both" else (chosen,))


@pytest.fixture(scope="module", autouse=True)
def _little_to_collect() -> None:
    # Many tests collect garbage, to see that nothing is left. What is there before the first of a file (modules, test
    # items, what hypothesis remembers) is not theirs: leave it out, and it takes a tenth of the time.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _official_audio_sources() -> Generator[None]:
    official_audio.keep()
    yield
    official_audio.take_back()


@pytest.fixture(scope="session")
def livekit_server_binary() -> Path:
    """The LiveKit server; building it the first time takes minutes."""
    try:
        binary = find_server()
    except ServerUnavailableError as error:
        _unavailable(f"no real LiveKit server: {error}")
    return binary


@pytest.fixture(scope="session")
def server_binary(livekit_server_binary: Path) -> Path:
    """The same for tests that start servers of their own."""
    return livekit_server_binary


@pytest.fixture(scope="session")
def real_server(livekit_real_server: RealServer) -> RealServer:
    """The real server of the whole run. A test that breaks its server starts its own `RealServer`."""
    return livekit_real_server


@pytest.fixture
def room_name(livekit_room_name: str) -> str:
    """A name no other test uses."""
    return livekit_room_name


@pytest.fixture
def token(real_server: RealServer, room_name: str) -> TokenMaker:
    """`token(identity, **claims)` for the room of this test; the claims are those of `access_token`."""

    def make(identity: str, *, room: str = room_name, **claims: Any) -> str:
        return real_server.token(identity, room=room, **claims)

    return make


@pytest.fixture(scope="session")
def openh264_library() -> Path:
    """An OpenH264 built from source; the first time that takes a minute or two."""
    try:
        return build_openh264()
    except OpenH264UnavailableError as error:
        _unavailable(f"no H.264: {error}")


@pytest.fixture
def h264(openh264_library: Path) -> Iterator[None]:
    """H.264 in the connections that the test makes in this process."""
    enable_h264(openh264_library)
    yield
    disable_h264()


@pytest.fixture(scope="session")
def official() -> ModuleType:
    """The official SDK, `livekit.rtc`."""
    if importlib.util.find_spec("livekit") is None or importlib.util.find_spec("livekit.rtc") is None:
        _unavailable("the official SDK (livekit) is not installed")
    return importlib.import_module("livekit.rtc")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    server = getattr(item, "funcargs", {}).get("real_server")
    if report.failed and isinstance(server, RealServer) and server.log:
        report.sections.append(("log of the LiveKit server", server.log[-_LOG_TAIL:]))
    return report
