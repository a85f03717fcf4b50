"""`AudioSource` by itself: its queue, its waits, its errors."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from aiolivekit.errors import MediaError
from aiolivekit.media import AudioFrame, AudioSource
from aiolivekit.media import resampling as resampling_module
from aiolivekit.media.pace import LEAD_PERIODS
from aiolivekit.peer import media_thread

from .conftest import DEADLINE


def silence(ms: float, rate: int = 48_000, channels: int = 1) -> AudioFrame:
    return AudioFrame.create(rate, channels, int(rate * ms / 1000))


def value(ms: float, sample: int, rate: int = 48_000) -> AudioFrame:
    return AudioFrame(sample.to_bytes(2, "little") * int(rate * ms / 1000), rate, 1, int(rate * ms / 1000))


class Played(list[bytes]):
    """All that is played, without the silence of an empty queue."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def write(self, samples: bytes, rate: int, channels: int, length: int) -> None:
        assert len(samples) == 2 * channels * length
        if samples.strip(b"\0"):
            self.append(samples)
            self.begun.set()


def record(source: AudioSource, monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr(source._local, "write", played.write)
    return played


async def test_capture_does_not_wait_while_there_is_room() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=100)
    assert source.queued_duration == 0
    capture = source.capture_frame(silence(100))
    with pytest.raises(StopIteration):  # it ends without a single suspension
        capture.send(None)
    assert source.queued_duration <= 0.1
    await source.aclose()


async def test_capture_waits_while_more_than_the_queue_holds() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=50)
    started = time.monotonic()
    for _ in range(15):
        await source.capture_frame(silence(20))
    assert time.monotonic() - started >= 0.23
    assert source.queued_duration <= 0.05
    await source.wait_for_playout()
    assert source.queued_duration == 0
    assert time.monotonic() - started >= 0.29
    await source.aclose()


async def test_a_frame_longer_than_the_queue_is_waited_for() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=20)
    started = time.monotonic()
    await source.capture_frame(silence(100))
    assert time.monotonic() - started >= 0.07
    assert source.queued_duration <= 0.02
    await source.aclose()


async def test_overlapping_captures_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the official SDK all but the first two fail."""
    source = AudioSource(48_000, 1, queue_size_ms=20)
    played = record(source, monkeypatch)
    await asyncio.gather(*[source.capture_frame(value(20, number)) for number in range(1, 6)])
    await source.wait_for_playout()
    samples = memoryview(b"".join(played)).cast("h").tolist()
    assert samples == [number for number in range(1, 6) for _ in range(960)]
    await source.aclose()


async def test_a_cancelled_capture_takes_its_frame_back(monkeypatch: pytest.MonkeyPatch) -> None:
    source = AudioSource(48_000, 1, queue_size_ms=50)
    played = record(source, monkeypatch)
    await source.capture_frame(value(50, 1))
    captures = [asyncio.create_task(source.capture_frame(value(30, number))) for number in (2, 3)]
    await asyncio.sleep(0)
    captures[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await captures[0]
    await captures[1]
    await source.wait_for_playout()
    samples = memoryview(b"".join(played)).cast("h").tolist()
    assert [number for number in (1, 2, 3) if number in samples] == [1, 3]
    assert samples.count(1) == 2400
    assert samples.count(3) == 1440
    await source.aclose()


async def test_of_plenty_two_periods_are_played_in_one_turn_and_never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_thread, "attach", lambda _user: None)
    source = AudioSource(48_000, 1, queue_size_ms=1000)
    played = record(source, monkeypatch)
    for number in range(1, 31):
        await source.capture_frame(value(10, number))
    turns = periods = 0
    stride = 1
    while len(source._queue):
        turns += 1
        periods += stride
        stride = source._tick(stride, media_thread.Wakeups())
        # What becomes due until the next turn is played already.
        assert source._pace.lead >= stride - 1 or not len(source._queue)
    assert periods <= 30 - LEAD_PERIODS
    assert turns <= periods / 2 + 5
    assert memoryview(b"".join(played)).cast("h").tolist() == [n for n in range(1, 31) for _ in range(480)]
    await source.aclose()


async def test_less_than_ten_ms_is_played_out(monkeypatch: pytest.MonkeyPatch) -> None:
    source = AudioSource(48_000, 1)
    played = record(source, monkeypatch)
    await source.capture_frame(value(14, 7))
    await source.wait_for_playout()
    samples = memoryview(b"".join(played)).cast("h").tolist()
    assert samples == [7] * 672 + [0] * 288
    await source.aclose()


async def test_less_than_ten_ms_is_played_without_being_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    source = AudioSource(48_000, 1)
    played = record(source, monkeypatch)
    await source.capture_frame(value(4, 7))
    assert await asyncio.to_thread(played.begun.wait, DEADLINE)
    # What follows is silence.
    assert memoryview(played[0]).cast("h").tolist()[:480] == [7] * 192 + [0] * 288
    assert source.queued_duration == 0
    await source.aclose()


async def test_clearing_ends_every_wait() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=50)
    capture = asyncio.create_task(source.capture_frame(silence(60_000)))
    playout = asyncio.create_task(source.wait_for_playout())
    await asyncio.sleep(0)
    assert source.queued_duration > 59
    source.clear_queue()
    # What was sent before it was due cannot be taken back.
    assert source.queued_duration <= LEAD_PERIODS / 100
    await asyncio.wait_for(asyncio.gather(capture, playout), DEADLINE)
    await source.capture_frame(silence(50))
    await source.aclose()


async def test_waiting_for_the_playout_of_nothing_returns() -> None:
    source = AudioSource(48_000, 1)
    await source.wait_for_playout()
    assert media_thread.current() is None
    await source.aclose()
    await source.wait_for_playout()


async def test_a_cancelled_wait_for_playout_leaves_the_queue_alone() -> None:
    source = AudioSource(48_000, 1)
    capture = asyncio.create_task(source.capture_frame(silence(60_000)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(source.wait_for_playout())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.queued_duration > 59
    assert not source._playout_waiters
    source.clear_queue()
    await capture
    await source.aclose()


async def test_closing_fails_the_captures_that_wait() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=50)
    capture = asyncio.create_task(source.capture_frame(silence(60_000)))
    playout = asyncio.create_task(source.wait_for_playout())
    await asyncio.sleep(0)
    await source.aclose()
    with pytest.raises(MediaError, match="closed"):
        await asyncio.wait_for(capture, DEADLINE)
    await asyncio.wait_for(playout, DEADLINE)
    await source.aclose()
    with pytest.raises(MediaError, match="closed"):
        await source.capture_frame(silence(10))
    with pytest.raises(MediaError, match="closed"):
        _ = source._local
    source.clear_queue()


async def test_closing_ends_the_track() -> None:
    source = AudioSource(48_000, 1)
    track = source._local.media_track
    ended = asyncio.Event()
    track.on("ended", lambda _: ended.set())
    await source.aclose()
    await asyncio.wait_for(ended.wait(), DEADLINE)
    assert track.ready_state == "ended"


async def test_without_a_queue_frames_are_sent_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    source = AudioSource(48_000, 1, queue_size_ms=0)
    played = record(source, monkeypatch)
    await source.capture_frame(value(10, 1))
    await source.capture_frame(value(35, 2))
    assert [len(samples) for samples in played] == [960, 3360]
    assert media_thread.current() is None
    await source.wait_for_playout()
    await source.aclose()


async def test_a_capture_copies_its_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    source = AudioSource(48_000, 1)
    played = record(source, monkeypatch)
    frame = AudioFrame.create(48_000, 1, 480)
    frame.data[:] = memoryview(b"\x05\x00" * 480).cast("h")
    await source.capture_frame(frame)
    frame.data[:] = memoryview(b"\x06\x00" * 480).cast("h")
    await source.wait_for_playout()
    assert b"".join(played) == b"\x05\x00" * 480
    await source.aclose()


async def test_captures_may_come_from_other_loops() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=20)

    async def capture() -> None:
        for _ in range(5):
            await source.capture_frame(silence(20))

    await asyncio.gather(capture(), *[asyncio.to_thread(asyncio.run, capture()) for _ in range(2)])
    await source.wait_for_playout()
    await source.aclose()


async def test_a_loop_that_was_closed_while_waiting_harms_nobody() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=20)
    loop = asyncio.new_event_loop()
    task = loop.create_task(source.capture_frame(silence(60)))

    def run() -> None:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    await asyncio.to_thread(run)
    await source.wait_for_playout()
    assert media_thread.current() is not None
    await source.aclose()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_a_failing_source_is_dropped_and_its_waits_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = AudioSource(48_000, 1, queue_size_ms=50), AudioSource(48_000, 1, queue_size_ms=50)
    played = record(good, monkeypatch)

    def broken(samples: bytes, *_: Any) -> None:
        if any(samples):
            raise ValueError("no")

    monkeypatch.setattr(bad._local, "write", broken)
    with pytest.raises(MediaError, match="could not be played: no"):
        await asyncio.wait_for(bad.capture_frame(value(1000, 1)), DEADLINE)
    with pytest.raises(MediaError, match="could not be played: no"):
        await bad.capture_frame(silence(10))
    await good.capture_frame(value(50, 3))
    await good.wait_for_playout()
    assert len(b"".join(played)) == 4800
    assert [each.message for each in caplog.records if each.name == "aiolivekit.peer"] == [
        "a source failed on the audio clock and is no longer played"
    ]
    await bad.aclose()
    await good.aclose()


@pytest.mark.parametrize(
    "arguments",
    [
        (0, 1),
        (-48_000, 1),
        (7_999, 1),
        (384_001, 1),
        (float("nan"), 1),
        (48_000, 0),
        (48_000, 3),
        (48_000, -1),
        (48_000, 1, -10),
        (48_000, 1, float("nan")),
        (48_000, 1, float("inf")),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"audio source|queue"):
        AudioSource(*arguments)


async def test_frames_that_do_not_fit_are_refused() -> None:
    source = AudioSource(48_000, 1)
    with pytest.raises(MediaError, match="24000 Hz"):
        await source.capture_frame(silence(10, rate=24_000))
    with pytest.raises(MediaError, match="1 channels, the frame 48000 Hz and 2"):
        await source.capture_frame(silence(10, channels=2))
    with pytest.raises(TypeError, match="bytes"):
        await source.capture_frame(b"\0" * 960)  # type: ignore[arg-type]
    await source.capture_frame(silence(0))
    assert source.queued_duration == 0
    await source.aclose()


def test_a_rate_that_must_be_converted_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(resampling_module.sys.modules, "soxr", None)
    AudioSource(44_100, 1)
    with pytest.raises(MediaError, match=r"aiolivekit\[resample\]"):
        AudioSource(22_050, 1)


async def test_a_converted_rate_is_played_out_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    source = AudioSource(22_050, 1)
    played = record(source, monkeypatch)
    for _ in range(10):
        await source.capture_frame(value(20, 1000, rate=22_050))
    await source.wait_for_playout()
    samples = memoryview(b"".join(played)).cast("h").tolist()
    # 200 ms, up to whole chunks and the ringing of the filter at both ends.
    assert abs(len([sample for sample in samples if abs(sample) > 500]) - 9600) < 60
    await source.capture_frame(value(20, 1000, rate=22_050))
    source.clear_queue()
    # What was sent before it was due cannot be taken back.
    assert source.queued_duration <= LEAD_PERIODS / 100
    await source.aclose()


async def test_the_thread_ends_while_captures_wait_on_another_loop() -> None:
    source = AudioSource(48_000, 1, queue_size_ms=20)
    outcome: list[BaseException | None] = []
    waiting = threading.Event()

    async def capture() -> None:
        task = asyncio.create_task(source.capture_frame(silence(60_000)))
        await asyncio.sleep(0)
        waiting.set()
        outcome.extend(await asyncio.gather(task, return_exceptions=True))

    thread = threading.Thread(target=lambda: asyncio.run(capture()))
    thread.start()
    assert await asyncio.to_thread(waiting.wait, DEADLINE)
    await source.aclose()
    await asyncio.to_thread(thread.join, DEADLINE)
    assert [type(error) for error in outcome] == [MediaError]
