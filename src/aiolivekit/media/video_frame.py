"""A picture."""

from __future__ import annotations

import base64
import operator
from typing import TYPE_CHECKING, Any, Self

from ..enums import VideoBufferType
from ..peer import pixels, video
from .resampling import require_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["VideoFrame"]

_MAX_SIDE = 16_384


class VideoFrame:
    """A picture with its pixel format (`livekit.rtc.VideoFrame`).

    The bytes are kept by reference, not copied. Planes lie one after another without padding, and the chroma of an odd
    size is rounded up.

    Args:
        width: Pixels of a row.
        height: Rows.
        type: The pixel format; its name gives the order of the bytes.
        data: The bytes: anything with a contiguous buffer, such as `bytes` or a numpy array of `uint8`. More than the
            picture needs may be given.

    Raises:
        ValueError: If a side is not within 1..16384, the type is unknown, or the data are too short or not contiguous.
        TypeError: If `data` has no buffer, or a side is no integer.
    """

    __slots__ = ("__weakref__", "_data", "_height", "_type", "_width")

    def __init__(self, width: int, height: int, type: int, data: Buffer) -> None:  # noqa: A002 - the official name
        if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
            raise ValueError(f"a picture has 1 to {_MAX_SIDE} pixels a side, not {width}x{height}")
        # A float would only be noticed once the picture is sent.
        width, height = operator.index(width), operator.index(height)
        self._type = VideoBufferType(type)
        view = memoryview(data)
        if not view.c_contiguous:
            raise ValueError("the data must be contiguous")
        size = pixels.frame_size(self._type, width, height)
        if view.nbytes < size:
            raise ValueError(
                f"{width}x{height} pixels of {self._type.name} need {size} bytes, the data have {view.nbytes}"
            )
        self._width = width
        self._height = height
        self._data = view.cast("B")

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self._width

    @property
    def height(self) -> int:
        """Rows."""
        return self._height

    @property
    def type(self) -> VideoBufferType:
        """The pixel format."""
        return self._type

    @property
    def data(self) -> memoryview:
        """The bytes; writable if what the frame was made of is."""
        return self._data

    def get_plane(self, plane_nth: int) -> memoryview | None:
        """Return one plane of a planar format, without a copy; `None` if there is no such plane.

        As in the official SDK, the packed RGB formats have none.
        """
        if self._type in pixels.RGB_TYPES:
            return None
        planes = pixels.planes(self._type, self._width, self._height)
        if not 0 <= plane_nth < len(planes):
            return None
        plane = planes[plane_nth]
        return self._data[plane.offset : plane.offset + plane.size]

    def as_arrays(self) -> list[NDArray[Any]]:
        """Return the planes as numpy arrays: views, writable if `data` is.

        A packed RGB picture is one array of the shape (height, width, 3 or 4); of the others, each plane is one of
        (rows, columns), but the second of NV12 is (rows, columns, 2). They are `uint8`, those of I010 `uint16`.

        Raises:
            MediaError: If numpy is not installed.
        """
        numpy = require_numpy()
        kind = numpy.uint16 if self._type == VideoBufferType.I010 else numpy.uint8
        arrays: list[NDArray[Any]] = []
        for index, plane in enumerate(pixels.planes(self._type, self._width, self._height)):
            flat = numpy.frombuffer(self._data[plane.offset : plane.offset + plane.size], kind)
            if self._type in pixels.RGB_TYPES:
                shape: tuple[int, ...] = (plane.rows, self._width, -1)
            elif self._type == VideoBufferType.NV12 and index == 1:
                shape = (plane.rows, -1, 2)
            else:
                shape = (plane.rows, -1)
            arrays.append(flat.reshape(shape))
        return arrays

    def convert(self, type: int, *, flip_y: bool = False) -> VideoFrame:  # noqa: A002 - the official name
        """Return the picture in another pixel format, as a copy.

        Every format leads to every other one. Between RGB and YUV libyuv converts, through libwebrtc, by BT.601 in its
        limited range; between formats of YUV luma stays as it is, and chroma is averaged or repeated.

        Args:
            type: The format wanted.
            flip_y: Whether to turn the picture upside down.

        Raises:
            MediaError: If libwebrtc does not do its part.
            ValueError: If the type is unknown.
        """
        target = VideoBufferType(type)
        converted = video.convert(self._type, self._width, self._height, self._data, target)
        if flip_y:
            converted = pixels.flip_rows(target, self._width, self._height, converted)
        return VideoFrame(self._width, self._height, target, converted)

    def __repr__(self) -> str:
        return f"VideoFrame(width={self._width}, height={self._height}, type={self._type.name})"

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        """Let pydantic keep a frame as a dict with its bytes in base 64, as it keeps the official SDK's."""
        from .pydantic_schema import frame_schema

        fields = {"width": int, "height": int, "type": str, "data": str}
        return frame_schema(cls, fields, load=cls._from_json, dump=cls._to_json)

    def _to_json(self) -> dict[str, Any]:
        return {
            "width": self._width,
            "height": self._height,
            "type": self._type.name,
            "data": base64.b64encode(self._data).decode("ascii"),
        }

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> Self:
        data = base64.b64decode(value["data"], validate=True)
        return cls(value["width"], value["height"], VideoBufferType.Value(value["type"]), data)
