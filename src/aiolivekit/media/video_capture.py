"""Cameras and screens as sources of video, through FFmpeg's devices (needs the `media` extra)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import CaptureError, ClosedError, MediaError
from .av_frames import Scaler, picture_of, rotation_of
from .av_library import failure, require_av
from .video_source import VideoSource

if TYPE_CHECKING:
    import av

__all__ = ["CameraInfo", "VideoCapture"]

logger = logging.getLogger("aiolivekit.media")

_CLOSE_TIMEOUT = 5.0
_FPS_LIMIT = 240


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera.

    Attributes:
        device: What `VideoCapture.open_camera` is given.
        name: What a person calls it.
    """

    device: str
    name: str


class VideoCapture:
    """A camera or screen that is open; made by `open_camera` or `open_screen`.

    Publish a track of its `source`. A thread of its own reads the device and sends each picture as it comes.

    It is an asynchronous context manager, which closes it.

    Attributes:
        source: The pictures.
    """

    def __init__(self, device: _Device, source: VideoSource) -> None:
        self.source = source
        self._device = device
        self._stop = weakref.finalize(self, device.stop)

    @classmethod
    async def open_camera(
        cls,
        device: str | None = None,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        format: str | None = None,  # noqa: A002 - PyAV's own word
        options: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Self:
        """Open a camera.

        Args:
            device: Which: `/dev/video0` on Linux, a number or name on macOS, a name on Windows; by default the first.
            width: Pixels of a row wanted, together with `height`; by default what the camera gives.
            height: Rows wanted.
            fps: Pictures a second wanted.
            format: FFmpeg's name of the kind of device; by default the system's (`v4l2`, `avfoundation`, `dshow`).
                `lavfi` makes test pictures, such as `testsrc=size=640x360:rate=30,realtime`.
            options: FFmpeg's options of it.
            timeout: Seconds for it to open and to give the first picture.

        Raises:
            CaptureError: If there is none, it cannot be opened, gives no picture, or the `media` extra is missing.
            ValueError: If a number is out of range.
        """
        system = format or _CAMERA_FORMATS.get(sys.platform, "v4l2")
        if device is None:
            cameras = await asyncio.to_thread(cls.list_cameras)
            if not cameras:
                raise CaptureError("there is no camera")
            device = cameras[0].device
        if system == "dshow" and not device.startswith("video="):
            device = f"video={device}"
        wanted = _wanted(width, height, fps, "framerate") | dict(options or {})
        return await cls._open(device, system, wanted, timeout, is_screencast=False)

    @classmethod
    async def open_screen(
        cls,
        display: str | None = None,
        *,
        x: int = 0,
        y: int = 0,
        width: int | None = None,
        height: int | None = None,
        fps: float = 15.0,
        cursor: bool = True,
        format: str | None = None,  # noqa: A002 - PyAV's own word
        options: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> Self:
        """Open a screen, or a part of it.

        Args:
            display: Which: an X display on Linux (by default `$DISPLAY`), the number of a screen on macOS.
            x: Pixels left out on the left (not on macOS).
            y: Rows left out at the top (not on macOS).
            width: Pixels of a row of the part, together with `height`; by default the whole screen.
            height: Rows of the part.
            fps: Pictures a second.
            cursor: Whether the mouse pointer is shown.
            format: FFmpeg's name of the kind of device; by default the system's (`x11grab`, `avfoundation`,
                `gdigrab`).
            options: FFmpeg's options of it.
            timeout: Seconds for it to open and to give the first picture.

        Raises:
            CaptureError: If there is none, it cannot be opened, gives no picture, or the `media` extra is missing.
            ValueError: If a number is out of range.
        """
        if x < 0 or y < 0:
            raise ValueError(f"a part of a screen begins within it, not at {x}, {y}")
        system = format or _SCREEN_FORMATS.get(sys.platform, "x11grab")
        wanted = _wanted(width, height, fps, "framerate")
        pointer = "1" if cursor else "0"
        if system == "x11grab":
            display = display or os.environ.get("DISPLAY")
            if not display:
                raise CaptureError("there is no X display: DISPLAY is not set (Wayland's screens cannot be opened)")
            wanted |= {"draw_mouse": pointer, "grab_x": str(x), "grab_y": str(y)}
        elif system == "gdigrab":
            display = display or "desktop"
            wanted |= {"draw_mouse": pointer, "offset_x": str(x), "offset_y": str(y)}
        elif system == "avfoundation":
            display = f"Capture screen {display or 0}"
            wanted = {"framerate": f"{fps:g}", "capture_cursor": pointer}
        elif display is None:
            raise ValueError(f"which display of {system}?")
        return await cls._open(display, system, wanted | dict(options or {}), timeout, is_screencast=True)

    @classmethod
    def list_cameras(cls) -> list[CameraInfo]:
        """Return the cameras of the system; those of Windows and macOS as FFmpeg knows them.

        Raises:
            CaptureError: If the `media` extra is missing.
        """
        library = require_av(CaptureError)
        if sys.platform.startswith("linux"):
            return _linux_cameras()
        try:
            found = library.enumerate_input_devices(_CAMERA_FORMATS.get(sys.platform, "v4l2"))
        except (AttributeError, library.FFmpegError, OSError, ValueError):
            return []  # FFmpeg cannot list them here
        return [
            CameraInfo(str(each.name), str(each.description))
            for each in found
            if "audio" not in tuple(getattr(each, "media_types", ()))
        ]

    @classmethod
    async def _open(
        cls, name: str, system: str, options: dict[str, str], timeout: float, *, is_screencast: bool
    ) -> Self:
        if not timeout > 0:
            raise ValueError(f"a timeout is positive, not {timeout}")
        device = _Device(name, system, options, timeout, is_screencast=is_screencast)
        return cls(device, await device.open())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def captured(self) -> int:
        """Pictures captured so far."""
        return self._device.captured

    @property
    def ended(self) -> bool:
        """Whether the device gives no more pictures."""
        return self._device.outcome.done()

    async def wait_ended(self) -> None:
        """Wait until the device gives no more pictures, as when it is unplugged.

        Raises:
            CaptureError: If it failed.
            ClosedError: If the capture is closed, also meanwhile.
        """
        await asyncio.shield(self._device.outcome)

    async def aclose(self) -> None:
        """Close the device and the source. Twice is once."""
        self._stop()
        await self._device.aclose()
        await self.source.aclose()


class _Device:
    """What is read, and the thread that reads it."""

    def __init__(self, name: str, system: str, options: dict[str, str], timeout: float, *, is_screencast: bool) -> None:
        self._av = require_av(CaptureError)
        self._name = name
        self._system = system
        self._options = options
        self._timeout = timeout
        self._is_screencast = is_screencast
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[VideoSource] = self._loop.create_future()
        self.outcome: asyncio.Future[None] = self._loop.create_future()
        self.outcome.add_done_callback(_look_at)
        self.captured = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aiolivekit capture", daemon=True)

    async def open(self) -> VideoSource:
        """Open it and return the source, once the first picture is there."""
        self._thread.start()
        try:
            async with asyncio.timeout(self._timeout + 1):
                return await self._opened
        except BaseException as error:
            await self.aclose()
            if isinstance(error, TimeoutError):
                raise CaptureError(f"the device gave no picture within {self._timeout:g} s") from None
            raise

    def stop(self) -> None:
        """Have the thread end after the picture it waits for."""
        self._closing.set()

    async def aclose(self) -> None:
        """Stop reading. A device that gives no picture meanwhile is left to its thread after a while."""
        self.stop()
        await asyncio.to_thread(self._thread.join, _CLOSE_TIMEOUT)
        if not self.outcome.done():
            self.outcome.set_exception(ClosedError("the capture is closed"))

    def _run(self) -> None:
        try:
            self._capture()
            error: MediaError | None = None
        except MediaError as problem:
            error = problem
        except (self._av.FFmpegError, OSError, ValueError) as problem:
            what = "the device failed" if self.captured else "the device could not be opened"
            error = failure(what, problem, CaptureError)
        self._on_loop(self._settle, error)

    def _settle(self, error: MediaError | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(error or CaptureError("the device gave no picture"))
            error = None
        if self.outcome.done():
            return
        if error is not None:
            self.outcome.set_exception(error)
        elif self._closing.is_set():
            self.outcome.set_exception(ClosedError("the capture is closed"))
        else:
            self.outcome.set_result(None)

    def _capture(self) -> None:
        # Devices give no end of data that is late; the timeout is that of opening and of each read.
        limits = (self._timeout, self._timeout)
        container = self._av.open(self._name, format=self._system, options=self._options, timeout=limits)
        with container:
            if not container.streams.video:
                raise CaptureError("the device has no pictures")
            stream = container.streams.video[0]
            scaler, source = Scaler(), None
            for packet in container.demux(stream):
                if self._closing.is_set():
                    return
                try:
                    frames = packet.decode()
                except self._av.error.InvalidDataError:  # webcams give such at times
                    continue
                for frame in frames:
                    source = self._send(frame, scaler, source)

    def _send(self, frame: av.VideoFrame, scaler: Scaler, source: VideoSource | None) -> VideoSource:
        now = time.monotonic_ns() // 1000
        picture, rotation = picture_of(scaler.convert(frame)), rotation_of(frame)
        if source is None:
            source = VideoSource(picture.width, picture.height, is_screencast=self._is_screencast)
            self._on_loop(self._give, source)
        self.captured += 1
        with contextlib.suppress(MediaError):  # closed by the program
            source.capture_frame(picture, timestamp_us=now, rotation=rotation)
        return source

    def _give(self, source: VideoSource) -> None:
        if not self._opened.done():
            self._opened.set_result(source)

    def _on_loop(self, method: Any, argument: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(method, argument)


_CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_SCREEN_FORMATS = {"linux": "x11grab", "darwin": "avfoundation", "win32": "gdigrab"}


def _wanted(width: int | None, height: int | None, fps: float | None, rate_name: str) -> dict[str, str]:
    if (width is None) != (height is None) or (width is not None and height is not None and min(width, height) < 1):
        raise ValueError(f"width and height are given together, and positive: {width}, {height}")
    if fps is not None and not 0 < fps <= _FPS_LIMIT:
        raise ValueError(f"there are 0 to {_FPS_LIMIT} pictures a second, not {fps}")
    wanted = {} if width is None else {"video_size": f"{width}x{height}"}
    return wanted if fps is None else wanted | {rate_name: f"{fps:g}"}


def _linux_cameras() -> list[CameraInfo]:
    found = []
    for device in sorted(Path("/dev").glob("video[0-9]*"), key=lambda path: int(path.name[5:])):
        about = Path("/sys/class/video4linux") / device.name
        # A camera has further nodes, for what it tells of its pictures.
        if _read(about / "index") not in ("", "0"):
            continue
        found.append(CameraInfo(str(device), _read(about / "name") or device.name))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _look_at(outcome: asyncio.Future[None]) -> None:
    """See how it ended, so that nobody is told that nobody asked."""
    if not outcome.cancelled():
        outcome.exception()
