"""Cameras and screens: what is to be seen is what comes, and what cannot be opened says so."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from aiolivekit.errors import CaptureError, ClosedError
from aiolivekit.media.video_capture import CameraInfo, VideoCapture
from tests.xvfb import display

pytest.importorskip("av")

DEADLINE = 30.0
TEST_PICTURE = "color=c=red:size=160x120:rate=25,realtime"


@pytest.fixture(autouse=True)
def no_capture_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name == "aiolivekit capture"]


async def pictures(capture: VideoCapture, count: int) -> list[Any]:
    """The next pictures of a capture."""
    found: list[Any] = []
    complete = asyncio.Event()
    loop = asyncio.get_running_loop()

    def take(frame: Any, **_: Any) -> None:
        found.append(frame)
        if len(found) >= count:
            loop.call_soon_threadsafe(complete.set)

    capture.source.capture_frame = take  # type: ignore[method-assign]
    async with asyncio.timeout(DEADLINE):
        await complete.wait()
    return found


def planes(frame: Any) -> tuple[float, float, float]:
    data = np.frombuffer(frame.data, np.uint8)
    luma = frame.width * frame.height
    chroma = ((frame.width + 1) // 2) * ((frame.height + 1) // 2)
    return (
        float(data[:luma].mean()),
        float(data[luma : luma + chroma].mean()),
        float(data[luma + chroma : luma + 2 * chroma].mean()),
    )


async def test_a_test_picture_has_its_colour_and_size() -> None:
    async with await VideoCapture.open_camera(TEST_PICTURE, format="lavfi") as camera:
        assert (camera.source.width, camera.source.height) == (160, 120)
        assert not camera.source.is_screencast
        frame = (await pictures(camera, 3))[-1]
        # Red, by BT.601 in its limited range.
        assert planes(frame) == pytest.approx((81, 90, 240), abs=3)
        assert camera.captured >= 3
        assert not camera.ended


@pytest.mark.parametrize("white", [True, False])
async def test_a_screen_is_seen(white: bool) -> None:
    with display(320, 240, white=white) as name:
        async with await VideoCapture.open_screen(name, fps=20, cursor=False) as screen:
            assert (screen.source.width, screen.source.height) == (320, 240)
            assert screen.source.is_screencast
            luma, *chroma = planes((await pictures(screen, 2))[-1])
            assert luma == pytest.approx(235 if white else 16, abs=3)
            assert chroma == pytest.approx([128, 128], abs=3)


async def test_a_part_of_a_screen_and_its_end() -> None:
    with display() as name:
        screen = await VideoCapture.open_screen(name, x=20, y=10, width=101, height=77, fps=20)
        assert (screen.source.width, screen.source.height) == (101, 77)
        await pictures(screen, 1)
    # The X server is gone.
    with pytest.raises(CaptureError, match="failed"):
        await asyncio.wait_for(screen.wait_ended(), DEADLINE)
    assert screen.ended
    await screen.aclose()
    await screen.aclose()


async def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if sys.platform.startswith("linux"):
        with pytest.raises(CaptureError, match="DISPLAY"):
            await VideoCapture.open_screen()
        with pytest.raises(CaptureError, match="No such"):
            await VideoCapture.open_camera("/dev/video987")
        with pytest.raises(CaptureError):
            await VideoCapture.open_screen(":987")
    monkeypatch.setattr(VideoCapture, "list_cameras", classmethod(lambda _: []))
    with pytest.raises(CaptureError, match="no camera"):
        await VideoCapture.open_camera()
    with pytest.raises(CaptureError):
        await VideoCapture.open_camera("nonsense", format="lavfi")
    with pytest.raises(CaptureError):
        await VideoCapture.open_camera("x", format="nonsense")
    with pytest.raises(CaptureError, match="no pictures"):
        await VideoCapture.open_camera("sine,arealtime", format="lavfi")


async def test_the_first_camera_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras = [CameraInfo(TEST_PICTURE, "red"), CameraInfo("other", "other")]
    monkeypatch.setattr(VideoCapture, "list_cameras", classmethod(lambda _: cameras))
    async with await VideoCapture.open_camera(format="lavfi") as camera:
        assert camera.source.width == 160


@pytest.mark.parametrize("wrong", [{"width": 100}, {"width": 0, "height": 5}, {"fps": 0}, {"fps": -3}, {"timeout": 0}])
async def test_numbers_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        await VideoCapture.open_camera("x", **wrong)
    with pytest.raises(ValueError):
        await VideoCapture.open_screen(":0", x=-1)


async def test_closing_ends_every_wait() -> None:
    camera = await VideoCapture.open_camera(TEST_PICTURE, format="lavfi")
    waiting = asyncio.create_task(camera.wait_ended())
    await asyncio.sleep(0)
    await camera.aclose()
    with pytest.raises(ClosedError):
        await asyncio.wait_for(waiting, DEADLINE)


async def test_a_capture_that_is_cancelled_leaves_nothing() -> None:
    opening = asyncio.create_task(VideoCapture.open_camera(TEST_PICTURE, format="lavfi"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_a_film_as_a_camera_ends() -> None:
    camera = await VideoCapture.open_camera("color=size=64x48:rate=25:duration=0.2", format="lavfi")
    await asyncio.wait_for(camera.wait_ended(), DEADLINE)
    await camera.aclose()
