"""Tones and colours to send, and what is left of them on the other side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from .sdk import DEADLINE

RATE = 48_000


def tone(frequency: float, start: int, count: int, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """`count` samples of a sine that goes on where another call with the next `start` takes over."""
    positions = np.arange(start, start + count)
    return (np.sin(2 * np.pi * frequency * positions / rate) * level * 32767).astype(np.int16)


def peak_frequency(samples: np.ndarray, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[int(np.argmax(spectrum))])


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean((samples / 32767.0) ** 2)))


async def play_tone(rtc: Any, source: Any, frequency: float, rate: int = RATE) -> None:
    """Send a tone in frames of 10 ms until cancelled."""
    position, size = 0, rate // 100
    while True:
        data = tone(frequency, position, size, rate)
        position += size
        frame = rtc.AudioFrame(data.tobytes(), rate, 1, size)
        await source.capture_frame(frame)


async def listen(rtc: Any, track: Any, seconds: float, num_channels: int = 1) -> np.ndarray:
    """Return what a track sounds like for a while once it has begun to sound; several channels are columns."""
    stream = rtc.AudioStream(track, num_channels=num_channels)
    heard: list[np.ndarray] = []
    total = 0
    try:
        async for event in stream:
            samples = np.frombuffer(event.frame.data, dtype=np.int16).astype(np.float64)
            if not heard and rms(samples) < 0.01:
                continue
            heard.append(samples)
            total += len(samples) // num_channels
            if total >= RATE * (seconds + 0.3):
                break
    finally:
        await stream.aclose()
    sound = np.concatenate(heard)[int(RATE * 0.3) * num_channels :]
    return sound if num_channels == 1 else sound.reshape(-1, num_channels)


async def listen_until(
    rtc: Any, track: Any, seconds: float, good: Callable[[np.ndarray], bool], within: float = DEADLINE
) -> np.ndarray:
    """Listen again until it sounds good or time is up: a busy machine loses frames, and gaps are filled in."""
    end = asyncio.get_running_loop().time() + within
    while True:
        async with asyncio.timeout_at(end):
            heard = await listen(rtc, track, seconds)
        if good(heard) or asyncio.get_running_loop().time() > end - 2 * seconds:
            return heard


def i420(width: int, height: int, y: int, u: int, v: int) -> bytes:
    half = ((width + 1) // 2) * ((height + 1) // 2)
    return bytes([y]) * (width * height) + bytes([u]) * half + bytes([v]) * half


async def show_colours(rtc: Any, source: Any, width: int, height: int, shown: list[int], fps: int = 20) -> None:
    """Send frames of one colour until cancelled; `shown` counts them."""
    await _show(rtc, source, width, height, shown, fps, lambda data, _number: data)


async def show_numbers(rtc: Any, source: Any, width: int, height: int, shown: list[int], fps: int = 20) -> None:
    """The same, with the number of each frame in stripes along the bottom; `read_number` reads it."""

    def number_it(data: bytes, number: int) -> bytes:
        pixels = np.frombuffer(data, dtype=np.uint8).copy()
        luma = pixels[: width * height].reshape(height, width)
        for place, stripe in enumerate(_stripes(luma)):
            stripe[:] = _BRIGHT if number >> place & 1 else _DARK
        return pixels.tobytes()

    await _show(rtc, source, width, height, shown, fps, number_it)


async def _show(
    rtc: Any, source: Any, width: int, height: int, shown: list[int], fps: int, draw: Callable[[bytes, int], bytes]
) -> None:
    plain = i420(width, height, 180, 90, 160)
    while True:
        number = len(shown) + 1
        source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, draw(plain, number)))
        shown.append(number)
        # A frame that is late is not made up for: encoders drop frames that come in bursts.
        await asyncio.sleep(1 / fps)


_BITS = 10
"""Stripes of a number: at 20 frames a second they begin again after 50 s, long after any deadline."""
_BRIGHT, _DARK = 220, 60


def _stripes(luma: np.ndarray) -> list[np.ndarray]:
    """The stripes in the lowest eighth of a picture, the lowest bit first."""
    height, width = luma.shape
    return [luma[height * 7 // 8 :, place * width // _BITS : (place + 1) * width // _BITS] for place in range(_BITS)]


def read_number(frame: Any) -> int:
    """The number in the stripes of an I420 frame."""
    data = np.frombuffer(frame.data, dtype=np.uint8)
    luma = data[: frame.width * frame.height].reshape(frame.height, frame.width)
    return sum(int(stripe.mean() > (_BRIGHT + _DARK) / 2) << place for place, stripe in enumerate(_stripes(luma)))


def planes(frame: Any, share: float = 1.0) -> tuple[float, float, float]:
    """The mean of each plane of an I420 frame, or of the upper `share` of its lines."""
    width, height = frame.width, frame.height
    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    data = np.frombuffer(frame.data, dtype=np.uint8)
    luma, chroma = width * height, half_width * half_height
    upper = int(half_height * share) * half_width
    return (
        float(data[: int(height * share) * width].mean()),
        float(data[luma : luma + upper].mean()),
        float(data[luma + chroma : luma + chroma + upper].mean()),
    )
