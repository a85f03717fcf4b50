"""The file of a recording: encoders and the container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RecordingError
from .av_library import failure, require_av
from .recording_format import RecordingFormat, RecordingOptions

if TYPE_CHECKING:
    import av

__all__ = ["RATE", "RecordingFile"]

RATE = 48_000
TICKS = 1000
"""Ticks of a second in which the times of pictures are counted."""

# What is written is on the disk soon, whatever becomes of the program.
_OPTIONS = {"flush_packets": "1"}

_VP8_BITS = 0.08
"""Bits a pixel of a picture, where quality alone cannot be asked for."""


class RecordingFile:
    """A file that is being written. For one thread.

    Args:
        path: Where.
        format: As what.
        options: How.
        audio: Whether there is sound.
        video: Whether there are pictures.

    Raises:
        RecordingError: If it cannot be begun.
    """

    def __init__(
        self,
        path: Path,
        format: RecordingFormat,  # noqa: A002 - the thing itself
        options: RecordingOptions,
        *,
        audio: bool,
        video: bool,
    ) -> None:
        self._av = library = require_av(RecordingError)
        self._errors = (library.FFmpegError, OSError, ValueError)
        self._path = path
        self._samples = 0
        self._audio: Any = None
        self._video: Any = None
        try:
            if not options.overwrite:
                path.open("xb").close()  # so that nobody else begins it either
            self._container: av.container.OutputContainer = library.open(
                str(path), "w", format=format.container, options={**_OPTIONS, **dict(format.options)}
            )
        except FileExistsError:
            raise RecordingError("there is a file of that name already") from None
        except self._errors as error:
            raise failure("the recording could not be begun", error, RecordingError) from error
        try:
            if video:
                self._video = self._add_video(format, options)
            if audio:
                self._audio = self._add_audio(format, options)
            self._container.start_encoding()
        except self._errors as error:
            self._container.close()
            raise failure("the recording could not be begun", error, RecordingError) from error

    def write_audio(self, samples: Any) -> None:
        """Write what follows.

        Args:
            samples: A numpy array of `int16`, of the shape (samples, channels).

        Raises:
            RecordingError: If it cannot be written.
        """
        if self._audio is None or not len(samples):
            return
        layout = "stereo" if samples.shape[1] == 2 else "mono"
        frame = self._av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = RATE
        frame.time_base = Fraction(1, RATE)
        frame.pts = self._samples
        self._samples += len(samples)
        self._encode(self._audio, frame)

    def write_picture(self, frame: av.VideoFrame, time: float) -> None:
        """Write a picture.

        Args:
            frame: I420, of the size of the recording.
            time: Its second; later than that of the one before.

        Raises:
            RecordingError: If it cannot be written.
        """
        frame.time_base = Fraction(1, TICKS)
        frame.pts = round(time * TICKS)
        self._encode(self._video, frame)

    def close(self) -> None:
        """Finish the file, so that it can be played.

        Raises:
            RecordingError: If it cannot be written.
        """
        try:
            for stream in (self._video, self._audio):
                if stream is not None:
                    self._container.mux(stream.encode(None))
        except self._errors as error:
            raise failure("the recording could not be finished", error, RecordingError) from error
        finally:
            self._close()

    def abandon(self) -> None:
        """Close a file that could not be written on; what is there stays."""
        try:
            self._container.close()
        except self._errors:
            return

    @property
    def size(self) -> int:
        """Bytes on the disk so far."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _close(self) -> None:
        try:
            self._container.close()
        except self._errors as error:
            raise failure("the recording could not be finished", error, RecordingError) from error

    def _encode(self, stream: Any, frame: Any) -> None:
        try:
            self._container.mux(stream.encode(frame))
        except self._errors as error:
            raise failure("the recording could not be written", error, RecordingError) from error

    def _add_audio(self, format: RecordingFormat, options: RecordingOptions) -> Any:  # noqa: A002
        codec = options.audio_codec or format.audio_codec
        layout = "stereo" if options.channels == 2 else "mono"
        stream: Any = self._container.add_stream(codec, rate=RATE, layout=layout)
        if not codec.startswith("pcm"):
            stream.bit_rate = options.audio_bitrate or (64_000 if options.channels == 1 else 96_000)
        return stream

    def _add_video(self, format: RecordingFormat, options: RecordingOptions) -> Any:  # noqa: A002
        codec = options.video_codec or format.video_codec
        if codec is None:
            raise RecordingError("such a file has no pictures")
        stream: Any = self._container.add_stream(codec, rate=round(options.fps))
        stream.width, stream.height, stream.pix_fmt = options.width, options.height, "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.gop_size = round(options.fps * 2)
        # Said, since players take pictures of that size for BT.709 otherwise.
        context.colorspace, context.color_range = 5, 1
        usual: dict[str, str] = {}
        if codec == "libx264":
            usual = {"preset": "veryfast"} | ({} if options.video_bitrate else {"crf": "23"})
        elif codec.startswith("libvpx"):
            usual = {"deadline": "realtime", "cpu-used": "8"}
        if options.video_bitrate:
            context.bit_rate = options.video_bitrate
        elif codec != "libx264":
            context.bit_rate = round(options.width * options.height * options.fps * _VP8_BITS)
        context.options = usual | options.codec_options
        return stream
