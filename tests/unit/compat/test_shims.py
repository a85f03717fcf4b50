"""What stands for the insides of the official SDK: it is there, and says what to use where it cannot do anything."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest

import aiolivekit
from aiolivekit import UnsupportedError, rtc
from aiolivekit.compat import jupyter
from aiolivekit.rtc._ffi_client import FfiClient, FfiHandle, FfiQueue, get_ffi_lib


def test_there_is_one_client_and_it_says_what_to_use() -> None:
    assert FfiClient.instance is FfiClient.instance
    request = rtc._proto.ffi_pb2.FfiRequest() if hasattr(rtc._proto, "ffi_pb2") else SimpleNamespace()
    with pytest.raises(UnsupportedError, match="use the methods of Room"):
        FfiClient.instance.request(request)
    get_ffi_lib()


async def test_a_queue_passes_on_what_its_filter_lets_through() -> None:
    queue: FfiQueue[int] = FfiQueue()
    odd = queue.subscribe(filter_fn=lambda number: number % 2 == 1)
    faulty = queue.subscribe(filter_fn=lambda number: number / 0 > 1)
    every = queue.subscribe(asyncio.get_running_loop())
    for number in range(5):
        queue.put(number)
    await asyncio.sleep(0)
    assert [odd.get_nowait() for _ in range(odd.qsize())] == [1, 3]
    assert faulty.qsize() == 5
    assert await every.wait_for(lambda number: number == 3) == 3
    queue.unsubscribe(every)
    queue.put(6)
    await asyncio.sleep(0)
    assert [every.get_nowait() for _ in range(every.qsize())] == [4]


def test_handles_are_numbers() -> None:
    handle = FfiHandle(7)
    assert (repr(handle), handle.disposed) == ("FfiHandle(7)", False)
    handle.dispose()
    assert handle.disposed
    assert rtc.RemoteAudioTrack._ffi_handle.handle == 0


def test_livekit_agents_mock_of_a_room() -> None:
    room = create_autospec(rtc.Room, instance=True)
    room.local_participant = create_autospec(rtc.LocalParticipant, instance=True)
    room._info = create_autospec(rtc.room.proto_room.RoomInfo, instance=True)
    room.isconnected.return_value = True
    assert room.isconnected()
    create_autospec(rtc.RemoteParticipant, instance=True)


async def test_the_name_of_a_room_can_be_set_before_it_is_connected() -> None:
    room = rtc.Room()
    room._info.name = "console"
    assert room.name == "console"


def test_the_messages_of_their_modules_are_found() -> None:
    for module in ("room", "participant", "track", "e2ee"):
        found = importlib.import_module(f"aiolivekit.rtc.{module}").proto_ffi
        assert found.__name__ == "aiolivekit.rtc._proto.ffi_pb2"
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            importlib.import_module(f"aiolivekit.rtc.{module}").nothing  # noqa: B018
    mapping = rtc.participant._connection_quality_from_proto
    assert mapping(1) is rtc.ConnectionQuality.QUALITY_GOOD
    assert mapping(99) is rtc.ConnectionQuality.QUALITY_UNKNOWN


def test_errors_of_calls_are_caught_by_the_official_names() -> None:
    for name in ("PublishTrackError", "UnpublishTrackError", "PublishDataError", "PublishDTMFError"):
        caught = getattr(rtc.participant, name)
        assert issubclass(aiolivekit.PublishError, caught)
        assert issubclass(aiolivekit.ClosedError, caught)
    assert aiolivekit.ClosedError("the room is disconnected").message == "the room is disconnected"


def test_native_noise_cancellation_says_what_to_use() -> None:
    with pytest.raises(UnsupportedError, match="FrameProcessor"):
        rtc.AudioFilter("krisp", "/plugin.so")


def test_unknown_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Rooom'"):
        rtc.Rooom  # noqa: B018
    assert {"Room", "room", "__version__"} <= set(dir(rtc))
    with pytest.raises(ImportError):
        from aiolivekit.rtc import nothing  # noqa: F401


def test_the_version_is_the_official_one() -> None:
    assert rtc.__version__ == rtc.version.__version__ == "1.2.1"


class _Html:
    def __init__(self, data: str) -> None:
        self.data = data


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a notebook shows."""
    found: list[Any] = []
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.core", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.core.display", SimpleNamespace(HTML=_Html))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=found.append))
    return found


def test_a_room_in_a_notebook(shown: list[Any]) -> None:
    pytest.importorskip("livekit.rtc", reason="the page is the official package's")
    rtc.jupyter.display_room("ws://localhost:7880", "a-token", height="200px")
    [page] = shown
    assert page.data.startswith(' <iframe width="100%" height="200px"')
    assert "ws://localhost:7880" in page.data
    assert "a-token" in page.data
    assert "placeholder##" not in page.data


def test_no_page_for_notebooks(shown: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elsewhere = SimpleNamespace(__path__=[str(tmp_path)])
    monkeypatch.setattr(
        jupyter, "import_module", lambda name: elsewhere if name == "livekit" else importlib.import_module(name)
    )
    with pytest.raises(UnsupportedError, match="install livekit beside"):
        rtc.jupyter.display_room("ws://localhost:7880", "a-token")
    assert shown == []
