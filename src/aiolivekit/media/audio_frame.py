"""A block of audio samples."""

from __future__ import annotations

import base64
import io
import wave
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from numpy import int16
    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["AudioFrame"]

_SAMPLE_SIZE = 2

_SAMPLE_FORMATS = frozenset({"h", "<h", "=h", "@h"})
_BYTE_FORMATS = frozenset({"B", "b", "c", "<B", "<b"})


class AudioFrame:
    """A block of 16-bit samples, interleaved by channel (`livekit.rtc.AudioFrame`).

    The samples are kept by reference, not copied.

    Args:
        data: Bytes or 16-bit integers: anything with a contiguous buffer, such as `bytes`, `array.array("h")` or a
            numpy array of `int16`. More than the frame needs may be given.
        sample_rate: Samples of a channel a second.
        num_channels: Interleaved channels.
        samples_per_channel: Samples of each.
        userdata: What the program wants to keep beside the samples.

    Raises:
        ValueError: If a number makes no sense, or the data are too short, are not contiguous, end within a sample, or
            are of another type.
        TypeError: If `data` has no buffer.
    """

    __slots__ = ("__weakref__", "_data", "_num_channels", "_sample_rate", "_samples_per_channel", "_userdata")

    def __init__(
        self,
        data: Buffer,
        sample_rate: int,
        num_channels: int,
        samples_per_channel: int,
        *,
        userdata: dict[str, Any] | None = None,
    ) -> None:
        if not (sample_rate > 0 and num_channels > 0 and samples_per_channel >= 0):
            raise ValueError(
                f"a frame needs a positive rate and channel count, and no negative length; "
                f"got {sample_rate} Hz, {num_channels} channels, {samples_per_channel} samples"
            )
        size = num_channels * samples_per_channel * _SAMPLE_SIZE
        if isinstance(data, bytes | bytearray):
            length = len(data)
        else:
            data = _bytes_view(data)
            length = data.nbytes
        if length < size:
            raise ValueError(f"the frame needs {size} bytes of samples, the data have {length}")
        if length % _SAMPLE_SIZE:
            raise ValueError("the data end within a sample")
        self._data = data
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._samples_per_channel = samples_per_channel
        self._userdata = {} if userdata is None else userdata

    @classmethod
    def create(cls, sample_rate: int, num_channels: int, samples_per_channel: int) -> Self:
        """Return a frame of silence, to be filled in through `data`."""
        size = max(num_channels * samples_per_channel, 0) * _SAMPLE_SIZE
        return cls(bytearray(size), sample_rate, num_channels, samples_per_channel)

    @property
    def userdata(self) -> dict[str, Any]:
        """What the program keeps beside the samples."""
        return self._userdata

    @property
    def data(self) -> memoryview:
        """The samples, as 16-bit integers; writable if what the frame was made of is."""
        return memoryview(self._data).cast("B").cast("h")

    @property
    def sample_rate(self) -> int:
        """Samples of a channel a second."""
        return self._sample_rate

    @property
    def num_channels(self) -> int:
        """Interleaved channels."""
        return self._num_channels

    @property
    def samples_per_channel(self) -> int:
        """Samples of each channel."""
        return self._samples_per_channel

    @property
    def duration(self) -> float:
        """How long it plays, in seconds."""
        return self._samples_per_channel / self._sample_rate

    def to_bytes(self) -> bytes:
        """Return the samples as bytes, without what `data` has beyond them; no copy if it is just these bytes."""
        size = self._num_channels * self._samples_per_channel * _SAMPLE_SIZE
        data = self._data
        if isinstance(data, bytes):
            return data if len(data) == size else data[:size]
        return bytes(memoryview(data)[:size])

    def _overwrite(self, samples: bytes) -> None:
        """Put other samples in place of the first ones; where the data are constant, in a copy of them."""
        view = memoryview(self._data)
        if view.readonly:
            self._data = bytearray(view)
            view = memoryview(self._data)
        view[: len(samples)] = samples

    def as_array(self) -> NDArray[int16]:
        """Return the samples as a numpy array of the shape (samples, channels): a view, writable if `data` is.

        Raises:
            MediaError: If numpy is not installed.
        """
        from .resampling import require_numpy

        numpy = require_numpy()
        count = self._num_channels * self._samples_per_channel
        flat = numpy.frombuffer(self._data, numpy.int16, count) if count else numpy.zeros(0, numpy.int16)
        return flat.reshape(self._samples_per_channel, self._num_channels)  # type: ignore[no-any-return]

    def remix_and_resample(self, sample_rate: int, num_channels: int) -> Self:
        """Return the audio at another rate and with other channels, by itself: nothing of it is held back.

        For consecutive frames of a stream use `AudioResampler`, which leaves no seams.

        Args:
            sample_rate: Samples of a channel a second.
            num_channels: To fewer, channels are averaged into one; to more, that one is repeated.

        Raises:
            ValueError: If a number is not positive.
            MediaError: If the rate changes and the `resample` extra is not installed.
        """
        if not (sample_rate > 0 and num_channels > 0):
            raise ValueError(f"a frame has a positive rate and channels, not {sample_rate} Hz and {num_channels}")
        from .resampling import Resampler, remix

        samples, channels = self.to_bytes(), self._num_channels
        if num_channels < channels:
            samples, channels = remix(samples, channels, num_channels), num_channels
        if sample_rate != self._sample_rate:
            resampler = Resampler(self._sample_rate, sample_rate, channels, "HQ")
            samples = resampler.push(samples) + resampler.flush()
        samples = remix(samples, channels, num_channels)
        length = len(samples) // (num_channels * _SAMPLE_SIZE)
        return type(self)(bytearray(samples), sample_rate, num_channels, length, userdata=dict(self._userdata))

    def to_wav_bytes(self) -> bytes:
        """Return the frame as a WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(self._num_channels)
            writer.setsampwidth(_SAMPLE_SIZE)
            writer.setframerate(self._sample_rate)
            writer.writeframes(self.to_bytes())
        return file.getvalue()

    def __repr__(self) -> str:
        return (
            f"AudioFrame(sample_rate={self._sample_rate}, num_channels={self._num_channels}, "
            f"samples_per_channel={self._samples_per_channel}, duration={self.duration:.3f})"
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        """Let pydantic keep a frame as a dict with its samples in base 64, as it keeps the official SDK's."""
        from .pydantic_schema import frame_schema

        fields: dict[str, type[int] | type[str]] = {
            "data": str,
            "sample_rate": int,
            "num_channels": int,
            "samples_per_channel": int,
        }
        return frame_schema(cls, fields, load=cls._from_json, dump=cls._to_json)

    def _to_json(self) -> dict[str, Any]:
        return {
            "data": base64.b64encode(self.to_bytes()).decode("ascii"),
            "sample_rate": self._sample_rate,
            "num_channels": self._num_channels,
            "samples_per_channel": self._samples_per_channel,
        }

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> Self:
        return cls(
            base64.b64decode(value["data"], validate=True),
            value["sample_rate"],
            value["num_channels"],
            value["samples_per_channel"],
        )


def _bytes_view(data: Buffer) -> memoryview:
    view = memoryview(data)
    if not view.c_contiguous:
        raise ValueError("the data must be contiguous")
    if view.format not in _SAMPLE_FORMATS and view.format not in _BYTE_FORMATS:
        raise ValueError(f"the data must be 16-bit integers or bytes, not of the buffer format {view.format!r}")
    # A sample count of zero cannot be cast from more than one dimension.
    return view.cast("B") if view.nbytes else memoryview(b"")
