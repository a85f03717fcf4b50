"""Streams by themselves: how they end, what they keep and drop, and how tracks change under them."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import wrtc

from aiolivekit.enums import TrackKind, TrackSource, VideoBufferType
from aiolivekit.errors import MediaError, UnsupportedError
from aiolivekit.media import AudioFrame, AudioStream, VideoStream
from aiolivekit.media import resampling as resampling_module
from aiolivekit.media.audio_filter import NoiseCancellationOptions
from aiolivekit.media.frame_processor import FrameProcessor, StreamPlace
from aiolivekit.peer.audio import LocalAudio
from aiolivekit.peer.video import LocalVideo, native_picture

from .conftest import DEADLINE, StubTrack


def chunk(value: int, rate: int = 48_000, channels: int = 1) -> tuple[bytes, int, int, int]:
    """Return the arguments of a write of 10 ms."""
    return value.to_bytes(2, "little") * (rate // 100 * channels), rate, channels, rate // 100


async def arrived(stream: Any, count: int) -> None:
    """Wait until a stream has that much queued."""
    async with asyncio.timeout(DEADLINE):
        while len(stream._items) < count:
            await asyncio.sleep(0.001)


async def first_samples(stream: AudioStream) -> list[int]:
    """Return the first sample of each frame until the stream ends."""
    async with asyncio.timeout(DEADLINE):
        return [event.frame.data[0] async for event in stream]


async def test_what_is_queued_is_delivered_after_closing_and_then_the_iterator_ends() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track))
    for value in range(1, 6):
        local.write(*chunk(value))
    await stream.aclose()
    await stream.aclose()
    assert await first_samples(stream) == [1, 2, 3, 4, 5]
    assert await first_samples(stream) == []
    local.close()


@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_closing_ends_a_reader_that_waits(kind: str) -> None:
    """In the official SDK a waiting reader of video hangs for ever."""
    local: LocalAudio | LocalVideo = LocalAudio() if kind == "audio" else LocalVideo()
    track = StubTrack(local.media_track)
    stream: Any = AudioStream(track) if kind == "audio" else VideoStream(track)
    readers = [asyncio.create_task(anext(stream, "ended")) for _ in range(2)]
    await asyncio.sleep(0)
    await stream.aclose()
    assert await asyncio.wait_for(asyncio.gather(*readers), DEADLINE) == ["ended", "ended"]
    assert stream not in stream._awaited
    assert not track._streams
    local.close()


async def test_a_cancelled_reader_loses_no_frame() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track))
    for _ in range(20):
        reader = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
    assert not stream._waiters
    local.write(*chunk(7))
    assert (await asyncio.wait_for(anext(stream), DEADLINE)).frame.data[0] == 7
    await stream.aclose()
    local.close()


async def test_the_end_of_the_track_ends_the_iterator() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track))
    local.write(*chunk(1))
    await arrived(stream, 1)
    local.close()
    assert await first_samples(stream) == [1]


async def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track), capacity=3)
    for value in range(1, 11):
        local.write(*chunk(value))
    async with asyncio.timeout(DEADLINE):
        while stream.dropped < 7:
            await asyncio.sleep(0.001)
    await stream.aclose()
    assert await first_samples(stream) == [8, 9, 10]
    assert stream.dropped == 7
    local.close()


async def test_what_a_blocked_loop_dropped_is_counted() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track))
    await asyncio.sleep(0)
    for value in range(600):  # more than libwebrtc keeps for a loop that does not come to read
        local.write(*chunk(value))
    await stream.aclose()
    samples = await first_samples(stream)
    assert samples == list(range(100, 600))
    assert stream.dropped == 100
    local.close()


@pytest.mark.parametrize(("frame_size_ms", "length"), [(None, 480), (0, 480), (10, 480), (25, 1200), (7, 336)])
async def test_frames_have_the_size_asked_for(frame_size_ms: int | None, length: int) -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track), frame_size_ms=frame_size_ms)
    ramp = np.arange(4800, dtype=np.int16)
    for part in ramp.reshape(10, 480):
        local.write(part.tobytes(), 48_000, 1, 480)
    await stream.aclose()
    frames = [event.frame async for event in stream]
    assert {frame.samples_per_channel for frame in frames} == {length}
    assert len(frames) == 4800 // length
    samples = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in frames])
    assert (samples == ramp[: len(samples)]).all()
    local.close()


@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (16_000, 2), (44_100, 1)])
async def test_resampled_frames_have_the_size_asked_for(rate: int, channels: int) -> None:
    local = LocalAudio()
    stream = AudioStream(
        StubTrack(local.media_track), sample_rate=rate, num_channels=channels, frame_size_ms=50, capacity=20
    )
    for _ in range(60):
        local.write(*chunk(1000))
    await stream.aclose()
    frames = [event.frame async for event in stream]
    assert {(frame.sample_rate, frame.num_channels, frame.samples_per_channel) for frame in frames} == {
        (rate, channels, rate // 20)
    }
    # What is missing is the delay of the filter, and what is less than a frame.
    assert len(frames) == 11
    samples = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in frames])
    assert np.abs(samples[rate // 20 * channels :] - 1000).max() <= 2
    local.close()


@pytest.mark.parametrize(("rate", "frame_size_ms"), [(24_000, 50), (16_000, 10), (44_100, 20)])
@pytest.mark.parametrize("before", [0, 30, 400])
async def test_silence_is_not_resampled_and_sound_is_the_same(rate: int, frame_size_ms: int, before: int) -> None:
    """Sound, silence for so long, sound again: as many samples as with everything resampled, and the same sound."""
    numpy = pytest.importorskip("numpy")
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track), sample_rate=rate, frame_size_ms=frame_size_ms)
    tone = (numpy.sin(2 * numpy.pi * 440 * numpy.arange(48_000 // 4) / 48_000) * 12_000).astype(numpy.int16)
    begin = tone if before else tone[:0]
    silence = numpy.array([0, 1, -2, 2] * 120 * (before or 200), numpy.int16)
    sent = numpy.concatenate([begin, silence, tone, numpy.zeros(4_800, numpy.int16)])
    frames = []
    for start in range(0, len(sent), 480):
        event = stream._convert((sent[start : start + 480].tobytes(), 16, 48_000, 1, 480, 0))
        while event is not None:
            frames.append(bytes(event.frame.data))
            event = stream._events.popleft() if stream._events else None
    heard = numpy.frombuffer(b"".join(frames), numpy.int16)
    expected = numpy.frombuffer(resampling_module.Resampler(48_000, rate, 1).push(sent.tobytes()), numpy.int16)
    assert 0 <= len(sent) * rate // 48_000 - len(heard) <= rate * (frame_size_ms + 15) // 1000
    # Where the sound is, one sample more or less of delay apart.
    shifts = range(-rate // 100, rate // 50)
    length = min(len(heard), len(expected)) - 2 * len(shifts)
    from_ = len(shifts)

    def error(shift: int) -> float:
        part = heard[from_ + shift : from_ + shift + length].astype(float)
        return float(numpy.abs(part - expected[from_ : from_ + length]).max())

    assert min(map(error, shifts)) < 400
    await stream.aclose()
    local.close()


@pytest.mark.parametrize("rate", [48_000, 24_000])
async def test_long_frames_come_whole_and_wake_the_loop_seldom(rate: int) -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track), sample_rate=rate, frame_size_ms=50)
    acknowledged = 0
    assert stream._reader is not None
    native = stream._reader._native

    class Counted:
        def __getattr__(self, name: str) -> Any:
            nonlocal acknowledged
            acknowledged += name == "_ackWakeup"
            return getattr(native, name)

    stream._reader._native = Counted()
    heard = []
    for value in range(1, 11):
        # As a track gives them, but faster: the time between them plays no part in what comes out.
        for _ in range(5):
            local.write(*chunk(100 * value))
            await asyncio.sleep(0.001)
        if value > 1:  # the filter of another rate keeps back a little
            frame = (await asyncio.wait_for(anext(stream), DEADLINE)).frame
            assert frame.samples_per_channel == rate // 20
            heard.append(round(frame.data[rate // 40], -2))
    assert heard == [100 * value for value in range(1, 10)]
    assert acknowledged < 40
    await stream.aclose()
    local.close()


async def test_the_end_is_noticed_while_there_is_no_use_for_more() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track), frame_size_ms=1000)
    local.write(*chunk(1))
    await arrived(stream, 1)
    assert stream._pause() > 0.9
    reader = asyncio.create_task(anext(stream, "ended"))
    await asyncio.sleep(0)
    local.close()
    assert await asyncio.wait_for(reader, DEADLINE) == "ended"


async def test_a_track_may_change_its_rate() -> None:
    local = LocalAudio()
    stream = AudioStream(StubTrack(local.media_track), sample_rate=48_000, num_channels=2)
    for rate, channels in ((48_000, 1), (24_000, 2), (16_000, 1), (48_000, 2)):
        for _ in range(20):
            local.write(*chunk(1000, rate, channels))
    await stream.aclose()
    frames = [event.frame async for event in stream]
    assert {(frame.num_channels, frame.samples_per_channel) for frame in frames} == {(2, 480)}
    assert 74 <= len(frames) <= 80
    local.close()


async def test_frames_are_the_readers_own() -> None:
    local = LocalAudio()
    streams = [AudioStream(StubTrack(local.media_track)) for _ in range(2)]
    local.write(*chunk(7))
    first, second = [(await asyncio.wait_for(anext(stream), DEADLINE)).frame for stream in streams]
    first.data[0] = 1
    assert second.data[0] == 7
    for stream in streams:
        await stream.aclose()
    local.close()


async def test_rebinding_goes_on_with_another_track() -> None:
    locals_ = [LocalAudio() for _ in range(3)]
    track = StubTrack(locals_[0].media_track)
    stream = AudioStream(track)
    assert list(track._streams) == [stream]
    reading = asyncio.create_task(first_samples(stream))
    for index, local in enumerate(locals_):
        track._media_track = local.media_track
        for each in list(track._streams):
            each._rebind(track._media_track)
        local.write(*chunk(index + 1))
        # The old one is left before its connection is closed: what it still had is kept, its end ends nothing.
        for each in list(track._streams):
            each._rebind(None)
        local.close()
        await asyncio.sleep(0.02)
        assert not reading.done()
    stream._track_gone()
    assert await reading == [1, 2, 3]
    assert not track._streams
    stream._rebind(LocalAudio().media_track)
    assert stream._reader is None


async def test_a_track_that_is_not_there_yet_is_waited_for() -> None:
    local = LocalAudio()
    track = StubTrack(None, TrackKind.KIND_AUDIO)
    stream = AudioStream(track)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    stream._rebind(local.media_track)
    local.write(*chunk(3))
    assert (await asyncio.wait_for(reading, DEADLINE)).frame.data[0] == 3
    await stream.aclose()
    local.close()


async def test_the_room_may_live_on_another_loop() -> None:
    local = LocalAudio()
    track = StubTrack(None, TrackKind.KIND_AUDIO)
    stream = AudioStream(track)
    await asyncio.to_thread(stream._rebind, local.media_track)
    await asyncio.sleep(0)
    local.write(*chunk(3))
    await arrived(stream, 1)
    await asyncio.to_thread(asyncio.run, stream.aclose())
    assert await first_samples(stream) == [3]
    local.close()


async def test_a_stream_can_be_made_for_another_loop() -> None:
    local = LocalAudio()
    made = await asyncio.to_thread(AudioStream, StubTrack(local.media_track), asyncio.get_running_loop())
    await asyncio.sleep(0)
    local.write(*chunk(3))
    assert (await asyncio.wait_for(anext(made), DEADLINE)).frame.data[0] == 3

    async def read_elsewhere() -> None:
        await anext(made)

    with pytest.raises(MediaError, match="loop"):
        await asyncio.to_thread(asyncio.run, read_elsewhere())
    await made.aclose()
    local.close()


def test_a_stream_needs_a_loop() -> None:
    track = StubTrack(None, TrackKind.KIND_AUDIO)
    with pytest.raises(RuntimeError):
        AudioStream(track)
    loop = asyncio.new_event_loop()
    stream = AudioStream(track, loop)
    loop.close()
    stream._end()  # of a loop that is gone
    assert not stream._waiters


# Participants


@dataclass
class StubPublication:
    source: TrackSource
    track: StubTrack | None


@dataclass
class StubParticipant:
    track_publications: dict[str, StubPublication] = field(default_factory=dict)
    _streams: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)


async def test_a_participants_tracks_are_read_one_after_another() -> None:
    participant = StubParticipant()
    stream = AudioStream.from_participant(participant=participant, track_source=TrackSource.SOURCE_MICROPHONE)
    assert list(participant._streams) == [stream]
    reading = asyncio.create_task(first_samples(stream))
    for number in range(1, 4):
        local, other = LocalAudio(), LocalAudio()
        track = StubTrack(local.media_track)
        participant.track_publications = {
            "TR_other": StubPublication(TrackSource.SOURCE_SCREENSHARE_AUDIO, StubTrack(other.media_track)),
            "TR_pending": StubPublication(TrackSource.SOURCE_MICROPHONE, None),
            "TR_mic": StubPublication(TrackSource.SOURCE_MICROPHONE, track),
        }
        for publication in participant.track_publications.values():
            if publication.track is not None:
                stream._track_found(publication.track)
        other.write(*chunk(99))
        local.write(*chunk(number))
        assert list(track._streams) == [stream]
        participant.track_publications["TR_mic"].track = None
        stream._track_gone()
        assert not track._streams
        local.close()
        other.close()
    assert not reading.done()
    stream._end()
    assert await reading == [1, 2, 3]
    assert not participant._streams


async def test_a_participants_track_that_is_there_is_read_at_once() -> None:
    local, video = LocalAudio(), LocalVideo()
    participant = StubParticipant(
        {
            "TR_odd": StubPublication(TrackSource.SOURCE_MICROPHONE, StubTrack(video.media_track)),
            "TR_mic": StubPublication(TrackSource.SOURCE_MICROPHONE, StubTrack(local.media_track)),
        }
    )
    stream = AudioStream.from_participant(participant=participant, track_source=TrackSource.SOURCE_MICROPHONE)
    local.write(*chunk(5))
    assert (await asyncio.wait_for(anext(stream), DEADLINE)).frame.data[0] == 5
    await stream.aclose()
    local.close()
    video.close()


# Errors


async def test_a_stream_of_the_wrong_kind_is_refused() -> None:
    audio, video = LocalAudio(), LocalVideo()
    with pytest.raises(MediaError, match="AudioStream does not read a track of KIND_VIDEO"):
        AudioStream(StubTrack(video.media_track))
    with pytest.raises(MediaError, match="VideoStream does not read a track of KIND_AUDIO"):
        VideoStream.from_track(track=StubTrack(audio.media_track))
    for local in (audio, video):
        local.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {"sample_rate": 0},
        {"sample_rate": 4_000},
        {"sample_rate": float("nan")},
        {"num_channels": 0},
        {"num_channels": 3},
        {"capacity": -1},
        {"frame_size_ms": -10},
    ],
)
async def test_audio_that_cannot_be_had_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"audio|negative"):
        AudioStream(StubTrack(None, TrackKind.KIND_AUDIO), **arguments)


async def test_other_arguments_that_make_no_sense() -> None:
    track = StubTrack(None, TrackKind.KIND_VIDEO)
    with pytest.raises(ValueError, match="negative"):
        VideoStream(track, capacity=-1)
    with pytest.raises(ValueError, match="77"):
        VideoStream(track, format=77)
    with pytest.raises(TypeError, match="participant"):
        VideoStream(None)
    with pytest.raises(TypeError, match="together"):
        VideoStream(None, participant=StubParticipant())
    with pytest.raises(TypeError, match=r"unexpected.*capactiy"):
        VideoStream(track, capactiy=3)
    for plugin in (object(), NoiseCancellationOptions("krisp", {})):
        with pytest.raises(UnsupportedError, match="FrameProcessor"):
            AudioStream(StubTrack(None, TrackKind.KIND_AUDIO), noise_cancellation=plugin)


async def test_a_missing_resampler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(resampling_module.sys.modules, "soxr", None)
    track = StubTrack(None, TrackKind.KIND_AUDIO)
    AudioStream(track)
    with pytest.raises(MediaError, match=r"aiolivekit\[resample\]"):
        AudioStream(track, sample_rate=16_000)


# Frame processors


class Gain:
    """A frame processor as the official SDK has them."""

    def __init__(self) -> None:
        self.enabled = True
        self.closed = False

    def _process(self, frame: AudioFrame) -> AudioFrame:
        if frame.data[0] == 13:
            raise ValueError("an unlucky frame")
        frame.data[0] += 100
        return frame

    def _close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("auto_close", [True, False])
async def test_a_frame_processor_sees_each_frame(auto_close: bool, caplog: pytest.LogCaptureFixture) -> None:
    local, gain = LocalAudio(), Gain()
    track = StubTrack(local.media_track)
    stream = AudioStream(track, noise_cancellation=gain, auto_close_noise_cancellation=auto_close)
    for value in (1, 13, 3):
        local.write(*chunk(value))
    heard = [(await asyncio.wait_for(anext(stream), DEADLINE)).frame.data[0] for _ in range(3)]
    assert heard == [101, 13, 103]
    assert "a frame processor failed" in caplog.text
    await stream.aclose()
    assert gain.closed == auto_close
    local.close()


class Told(FrameProcessor[AudioFrame]):
    """Notes what it is told; its hooks are those of the official SDK."""

    enabled = True
    fails = False

    def __init__(self) -> None:
        self.told: list[Any] = []

    def _on_stream_info_updated(self, **where: str) -> None:
        self.told.append(where)
        if self.fails:
            raise OSError("no")

    def _on_stream_info_cleared(self) -> None:
        self.told.append("info cleared")

    def _on_credentials_updated(self, **credentials: str) -> None:
        self.told.append(credentials)

    def _on_credentials_cleared(self) -> None:
        self.told.append("credentials cleared")

    def _process(self, frame: AudioFrame) -> AudioFrame:
        return frame

    def _close(self) -> None:
        self.told.append("closed")


async def test_a_frame_processor_is_told_where_its_frames_come_from(caplog: pytest.LogCaptureFixture) -> None:
    track: Any = StubTrack(None, TrackKind.KIND_AUDIO)
    place = StreamPlace("a room", "someone", "TR_1", "wss://server", "secret")
    where = {"room_name": "a room", "participant_identity": "someone", "publication_sid": "TR_1"}
    track._place = place
    processor = Told()
    stream = AudioStream(track, noise_cancellation=processor)
    assert processor.told == [where, {"token": "secret", "url": "wss://server"}]
    processor.told.clear()
    stream._place_changed()
    assert processor.told == []
    track._place = replace(place, token="newer")
    stream._place_changed()
    assert processor.told == [{"token": "newer", "url": "wss://server"}]
    processor.told.clear()
    track._place = None
    stream._place_changed()
    assert processor.told == ["info cleared", "credentials cleared"]
    processor.told.clear()
    processor.fails = True
    track._place = place
    stream._place_changed()
    assert "did not take" in caplog.text
    assert "secret" not in caplog.text
    assert "secret" not in repr(place)
    await stream.aclose()
    assert processor.told == [where, "info cleared", "credentials cleared", "closed"]


# Leaks


def alive(name: str) -> int:
    gc.collect()
    return int(wrtc._alive()[name])


async def test_streams_leave_nothing_behind() -> None:
    audio, video = LocalAudio(), LocalVideo()
    tracks = StubTrack(audio.media_track), StubTrack(video.media_track)
    before = alive("MediaStreamTrackProcessor")
    picture = native_picture(VideoBufferType.I420, 2, 2, memoryview(bytes(6)))
    for closed in (True, False) * 10:
        streams: list[Any] = [AudioStream(tracks[0]), VideoStream(tracks[1])]
        audio.write(*chunk(1))
        video.write(picture, 0, 0)
        for stream in streams:
            await asyncio.wait_for(anext(stream), DEADLINE)
            if closed:
                await stream.aclose()
        del stream, streams
    async with asyncio.timeout(DEADLINE):
        while alive("MediaStreamTrackProcessor") > before:
            await asyncio.sleep(0.01)
    assert not tracks[0]._streams
    assert not AudioStream._awaited
    audio.close()
    video.close()


async def test_a_reader_whose_task_nobody_holds_is_not_collected() -> None:
    local = LocalAudio()
    result: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        stream = AudioStream(StubTrack(local.media_track))
        result.extend([event.frame.data[0] async for event in stream])
        done.set()

    asyncio.get_running_loop().create_task(read())
    await asyncio.sleep(0.01)
    gc.collect()
    local.write(*chunk(1))
    await asyncio.sleep(0.01)
    gc.collect()
    local.close()
    await asyncio.wait_for(done.wait(), DEADLINE)
    assert result == [1]
