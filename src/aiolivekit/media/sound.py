"""Microphones and speakers, through PortAudio (the package `sounddevice`, imported when first needed).

PortAudio calls back on threads of its own. What it records goes straight to the audio source, which takes frames from
any thread, so that a program whose loop is busy loses nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..errors import LiveKitError, PlatformAudioError
from .apm import AudioProcessingModule
from .audio_frame import AudioFrame

__all__ = ["DeviceDelay", "Playback", "Recording", "require_sounddevice"]

logger = logging.getLogger("aiolivekit.media")

_SAMPLE_SIZE = 2


def require_sounddevice() -> ModuleType:
    """Import and return `sounddevice`.

    Raises:
        PlatformAudioError: If it, or the PortAudio library it needs, is not installed.
    """
    try:
        import sounddevice  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise PlatformAudioError("audio devices need the 'devices' extra: pip install 'aiolivekit[devices]'") from None
    except OSError as error:  # on Linux the wheel has no library of its own
        raise PlatformAudioError(f"audio devices need PortAudio (on Debian: libportaudio2): {error}") from None
    return sounddevice  # type: ignore[no-any-return,unused-ignore]


def query_devices(sounddevice: ModuleType) -> list[dict[str, Any]]:
    """Return what PortAudio says about each device, with its `index`.

    Raises:
        PlatformAudioError: If PortAudio fails.
    """
    try:
        return [{**device, "index": index} for index, device in enumerate(sounddevice.query_devices())]
    except sounddevice.PortAudioError as error:
        raise PlatformAudioError(f"the audio devices could not be listed: {error}") from error


class DeviceDelay:
    """How long sound is on its way through the devices, for the echo canceller; from any thread."""

    def __init__(self) -> None:
        self._output = 0.0

    def set_output_delay(self, delay_sec: float) -> None:
        """Note the seconds from a call of the speaker's callback until its samples are heard."""
        self._output = max(float(delay_sec), 0.0)

    def get_output_delay(self) -> float:
        """Return what was noted last, in seconds."""
        return self._output


class _Blocks:
    """Cuts what comes in blocks of any length into frames of 10 ms."""

    def __init__(self, sample_rate: int, num_channels: int) -> None:
        self._sample_rate = sample_rate
        self._num_channels = num_channels
        self._samples = sample_rate // 100
        self._rest = bytearray()

    def frames(self, data: bytes) -> list[AudioFrame]:
        """Return the frames that are complete."""
        size = self._samples * self._num_channels * _SAMPLE_SIZE
        self._rest += data
        count = len(self._rest) // size
        frames = [
            AudioFrame(self._rest[start : start + size], self._sample_rate, self._num_channels, self._samples)
            for start in range(0, count * size, size)
        ]
        del self._rest[: count * size]
        return frames


class Recording:
    """A microphone that is open.

    Args:
        sink: Takes each frame of 10 ms and returns whether it had room; on PortAudio's thread.
        sample_rate: Samples of a channel a second.
        num_channels: Channels of the frames.
        blocksize: Samples of a channel PortAudio gives at once.
        device: PortAudio's index of the device, or `None` for the default one.
        channel: The only channel to be recorded, from 0; by default the first ones.
        apm: Processes each frame before it is handed over.
        delay: What it is told of the devices' delay.

    Raises:
        PlatformAudioError: If the device cannot be opened.
    """

    def __init__(
        self,
        sink: Callable[[AudioFrame], bool],
        *,
        sample_rate: int,
        num_channels: int,
        blocksize: int,
        device: int | None,
        channel: int | None = None,
        apm: AudioProcessingModule | None = None,
        delay: DeviceDelay | None = None,
    ) -> None:
        sounddevice = require_sounddevice()
        self.dropped = 0
        """Frames dropped because the source had no room for them."""
        self.overflows = 0
        """Times the device gave more than was taken."""
        self._sink = sink
        self._blocks = _Blocks(sample_rate, num_channels)
        self._channel = channel
        self._device_channels = num_channels if channel is None else channel + 1
        self._apm = apm
        self._delay = delay
        self._failed = False
        self._closed = False
        self.stream: Any = None
        try:
            self.stream = sounddevice.RawInputStream(
                callback=self._on_block,
                dtype="int16",
                channels=self._device_channels,
                device=device,
                samplerate=sample_rate,
                blocksize=blocksize,
            )
            self.stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            if self.stream is not None:
                self.close()
            raise PlatformAudioError(f"the microphone could not be opened: {error}") from error

    def close(self) -> None:
        """Stop recording. Twice is once."""
        if not self._closed:
            self._closed = True
            _close(self.stream)

    def _on_block(self, data: Any, _frames: int, time: Any, status: Any) -> None:
        if status and getattr(status, "input_overflow", False):
            self.overflows += 1
        samples = bytes(data)
        if self._channel is not None:
            samples = memoryview(samples).cast("h")[self._channel :: self._device_channels].tobytes()
        if self._apm is not None and self._delay is not None:
            recorded = max(float(time.currentTime - time.inputBufferAdcTime), 0.0)
            self._apm.set_stream_delay_ms(int((recorded + self._delay.get_output_delay()) * 1000))
        for frame in self._blocks.frames(samples):
            if self._apm is not None:
                self._process(self._apm, frame)
            if not self._sink(frame):
                self.dropped += 1

    def _process(self, apm: AudioProcessingModule, frame: AudioFrame) -> None:
        try:
            apm.process_stream(frame)
        except LiveKitError:
            if not self._failed:
                self._failed = True
                logger.warning("recorded audio could not be processed and is sent as it is", exc_info=True)


class Playback:
    """A speaker that is open.

    Args:
        sample_rate: Samples of a channel a second.
        num_channels: Channels of what is played.
        blocksize: Samples of a channel PortAudio takes at once.
        device: PortAudio's index of the device, or `None` for the default one.
        capacity: Bytes kept until they are played.
        on_room: Called on PortAudio's thread when something was taken.
        apm: Is told what is played.
        delay: Is told of the device's delay.

    Raises:
        PlatformAudioError: If the device cannot be opened.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        num_channels: int,
        blocksize: int,
        device: int | None,
        capacity: int,
        on_room: Callable[[], None],
        apm: AudioProcessingModule | None = None,
        delay: DeviceDelay | None = None,
    ) -> None:
        sounddevice = require_sounddevice()
        self.underruns = 0
        """Blocks for which there was not enough to play, once something had been played."""
        self._capacity = capacity
        self._on_room = on_room
        self._apm = apm
        self._delay = delay
        self._blocks = _Blocks(sample_rate, num_channels)
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._playing = False
        self._failed = False
        self._closed = False
        try:
            self._stream: Any = sounddevice.RawOutputStream(
                callback=self._on_block,
                dtype="int16",
                channels=num_channels,
                device=device,
                samplerate=sample_rate,
                blocksize=blocksize,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise PlatformAudioError(f"the speaker could not be opened: {error}") from error
        self._sounddevice = sounddevice

    def start(self) -> None:
        """Start playing; until there is something, silence.

        Raises:
            PlatformAudioError: If the device fails.
        """
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            raise PlatformAudioError(f"the speaker could not be started: {error}") from error

    @property
    def has_room(self) -> bool:
        """Whether less waits than is to be kept."""
        return len(self._waiting) < self._capacity

    def write(self, samples: bytes) -> None:
        """Play samples after those that wait."""
        with self._lock:
            self._waiting += samples

    def close(self) -> None:
        """Stop playing. Twice is once."""
        if not self._closed:
            self._closed = True
            _close(self._stream)

    def _on_block(self, data: Any, _frames: int, time: Any, _status: Any) -> None:
        size = len(data)
        with self._lock:
            samples = bytes(self._waiting[:size])
            del self._waiting[:size]
        if len(samples) == size:
            self._playing = True
        elif self._playing:
            self.underruns += 1
            self._playing = bool(samples)
        samples = samples.ljust(size, b"\0")
        data[:] = samples
        if self._delay is not None:
            self._delay.set_output_delay(float(time.outputBufferDacTime - time.currentTime))
        if self._apm is not None:
            for frame in self._blocks.frames(samples):
                self._tell(self._apm, frame)
        self._on_room()

    def _tell(self, apm: AudioProcessingModule, frame: AudioFrame) -> None:
        try:
            apm.process_reverse_stream(frame)
        except LiveKitError:
            if not self._failed:
                self._failed = True
                logger.warning("what is played could not be told to the echo canceller", exc_info=True)


def _close(stream: Any) -> None:
    try:
        stream.abort()
        stream.close()
    except Exception:  # PortAudio complains about a device that was unplugged; there is nothing left to be done
        logger.debug("an audio device did not close properly", exc_info=True)
