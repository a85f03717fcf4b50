"""Pictures of several tracks on one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from ..core.grid import Area, fit, grid
from ..enums import VideoBufferType
from ..errors import MediaError
from ..peer.video import NativePicture, pixels_of
from .av_frames import Scaler, fill_planes
from .av_library import require_av
from .resampling import require_numpy

if TYPE_CHECKING:
    import av

__all__ = ["PictureBoard"]

_BLACK = (16, 128, 128)


class PictureBoard:
    """A picture on which others have their places; those that show nothing have none. For one thread.

    Args:
        width: Pixels of a row, even.
        height: Rows, even.
        error: What to raise if the `media` extra is missing.

    Raises:
        MediaError: The one that was given; or if numpy is missing.
    """

    def __init__(self, width: int, height: int, error: type[MediaError]) -> None:
        self._av = require_av(error)
        self._numpy = require_numpy()
        self._width, self._height = width, height
        self._scaler = Scaler()
        self._planes: list[Any] = []
        self._latest: dict[Hashable, av.VideoFrame] = {}
        self._areas: dict[Hashable, Area] = {}
        self._painted: dict[Hashable, Area] = {}
        self._clear()

    def show(self, key: Hashable, picture: NativePicture, degrees: int) -> None:
        """Show a picture of a track instead of its last one.

        Args:
            key: Which track.
            picture: As it is received.
            degrees: How it is to be turned clockwise.
        """
        frame = self._frame_of(picture, degrees)
        new = key not in self._latest
        self._latest[key] = frame
        if new:
            self._arrange()
        else:
            self._paint(key)

    def hide(self, key: Hashable) -> bool:
        """Show nothing of a track; the others have more room. Return whether there was anything."""
        if self._latest.pop(key, None) is None:
            return False
        self._arrange()
        return True

    def frame(self) -> av.VideoFrame:
        """Return the whole as it is now."""
        frame: av.VideoFrame = self._av.VideoFrame(self._width, self._height, "yuv420p")
        fill_planes(frame, memoryview(b"".join(plane.tobytes() for plane in self._planes)))
        return frame

    def _arrange(self) -> None:
        self._clear()
        areas = grid(len(self._latest), self._width, self._height)
        self._areas = dict(zip(self._latest, areas, strict=True))
        for key in self._latest:
            self._paint(key)

    def _clear(self) -> None:
        half = (self._height // 2, self._width // 2)
        sizes = ((self._height, self._width), half, half)
        self._planes = [
            self._numpy.full(size, value, self._numpy.uint8) for size, value in zip(sizes, _BLACK, strict=True)
        ]
        self._painted = {}

    def _paint(self, key: Hashable) -> None:
        frame, cell = self._latest[key], self._areas[key]
        area = fit(frame.width, frame.height, cell)
        if self._painted.get(key, area) != area:  # of another shape than before: what is left of that one goes
            self._fill(cell)
        self._painted[key] = area
        scaled = self._scaler.convert(frame, area.width, area.height)
        for index, plane in enumerate(scaled.planes):
            shift = 1 if index else 0
            rows, columns = area.height >> shift, area.width >> shift
            pixels = self._numpy.frombuffer(plane, self._numpy.uint8).reshape(-1, plane.line_size)[:rows, :columns]
            x, y = area.x >> shift, area.y >> shift
            self._planes[index][y : y + rows, x : x + columns] = pixels

    def _fill(self, area: Area) -> None:
        for index, value in enumerate(_BLACK):
            shift = 1 if index else 0
            x, y = area.x >> shift, area.y >> shift
            self._planes[index][y : y + (area.height >> shift), x : x + (area.width >> shift)] = value

    def _frame_of(self, picture: NativePicture, degrees: int) -> av.VideoFrame:
        data = memoryview(pixels_of(picture, VideoBufferType.I420))
        width, height = picture.width, picture.height
        if degrees % 360:
            data, width, height = self._turned(data, width, height, degrees)
        frame: av.VideoFrame = self._av.VideoFrame(width, height, "yuv420p")
        fill_planes(frame, data)
        return frame

    def _turned(self, data: memoryview, width: int, height: int, degrees: int) -> tuple[memoryview, int, int]:
        numpy = self._numpy
        half = ((height + 1) // 2, (width + 1) // 2)
        offset, parts = 0, []
        for rows, columns in ((height, width), half, half):
            plane = numpy.frombuffer(data[offset : offset + rows * columns], numpy.uint8).reshape(rows, columns)
            parts.append(numpy.rot90(plane, -(degrees // 90)).tobytes())
            offset += rows * columns
        if degrees % 180:
            width, height = height, width
        return memoryview(b"".join(parts)), width, height
