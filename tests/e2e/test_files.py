"""Films are published in step, and rooms are recorded in step, whatever happens to the connection meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from aiolivekit import (
    LocalAudioTrack,
    LocalVideoTrack,
    MediaPlayer,
    RecordingOptions,
    RoomRecorder,
    TrackPublishOptions,
    TrackRecorder,
    TrackSource,
    VideoQuality,
)
from aiolivekit.enums import SimulateScenarioKind
from aiolivekit.media.recording_streams import BREAK, ChunkStream
from tests.marks import RATE, Beep, beeps, flashes, middle_brightness, offsets, read_recording, write_film

from .conftest import OURS
from .sdk import DEADLINE, Sdk, meeting, running, until

pytest.importorskip("av")
pytestmark = pytest.mark.e2e

LIP_SYNC = 0.040
SECONDS = 10
OPTIONS = RecordingOptions(width=320, height=240, channels=1)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "film.mkv", SECONDS, audio="libopus")


@asynccontextmanager
async def playing(room: Any, film: Path, **options: Any) -> AsyncIterator[tuple[MediaPlayer, Any, Any]]:
    """A film, published, over and over; yields its publications as well."""
    async with await MediaPlayer.open(film, loop=True) as player:
        sound = LocalAudioTrack.create_audio_track("sound", player.audio)  # type: ignore[arg-type]
        picture = LocalVideoTrack.create_video_track("picture", player.video)  # type: ignore[arg-type]
        me = room.local_participant
        heard = await me.publish_track(sound, TrackPublishOptions(source=TrackSource.SOURCE_MICROPHONE))
        seen = await me.publish_track(picture, TrackPublishOptions(source=TrackSource.SOURCE_CAMERA, **options))
        player.play()
        yield player, heard, seen


async def both_tracks(room: Any, identity: str) -> tuple[Any, Any]:
    """The publications of sound and picture of a participant, once both are subscribed to."""
    found: dict[int, Any] = {}

    def there() -> bool:
        participant = room.remote_participants.get(identity)
        if participant is not None:
            found.update(
                {int(each.kind): each for each in participant.track_publications.values() if each.track is not None}
            )
        return len(found) == 2 and all(each.track is not None for each in found.values())

    await until(there, f"both tracks of {identity}")
    return found[1], found[2]


async def offset_of(sdk: Sdk, sound: Any, picture: Any, marks: int) -> float:
    """The median of the seconds by which flashes come after their beeps, at the receiver."""
    rtc, loop = sdk.rtc, asyncio.get_running_loop()
    blocks: list[tuple[float, np.ndarray]] = []
    brightness: list[tuple[float, float]] = []

    async def listen() -> None:
        stream = rtc.AudioStream(sound.track, num_channels=1)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16)
                blocks.append((loop.time(), samples))
        finally:
            await stream.aclose()

    async def look() -> None:
        stream = rtc.VideoStream(picture.track, format=rtc.VideoBufferType.I420)
        try:
            async for event in stream:
                frame = event.frame
                luma = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height]
                brightness.append((loop.time(), middle_brightness(luma.reshape(frame.height, frame.width))))
        finally:
            await stream.aclose()

    async with running(listen()), running(look()):
        await until(lambda: len(beeps(blocks)) > marks and len(flashes(brightness)) > marks, "the marks")
    return median(offsets(beeps(blocks)[:marks], flashes(brightness)))


@pytest.mark.alone
@pytest.mark.parametrize("pair", ["ours-ours", "ours-official"], indirect=True)
async def test_a_film_arrives_in_step(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool, film: Path
) -> None:
    """By content, at the receiver: a stall of the machine lets a jitter buffer grow, so it is begun anew then."""
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (alice, _, bob, _):
        async with playing(alice, film):
            found: list[float] = []
            for _ in range(6):
                sound, picture = await both_tracks(bob, "alice")
                found.append(await offset_of(pair[1], sound, picture, 3))
                if abs(found[-1]) <= LIP_SYNC:
                    return
                sound.set_subscribed(False)
                await until(lambda: sound.track is None, "unsubscribed")  # noqa: B023
                sound.set_subscribed(True)
            pytest.fail(f"flashes came {found} s after their beeps")


async def recorded_for(recorder: RoomRecorder, seconds: float) -> None:
    """Wait until so much more has been recorded."""
    end = recorder.stats.duration + seconds
    await until(lambda: recorder.stats.duration >= end, f"{seconds} s of recording")


class Ear:
    """When the beeps of a track were played, by libwebrtc's word, however late it reached us."""

    def __init__(self) -> None:
        self._blocks: list[tuple[float, np.ndarray]] = []

    async def listen(self, track: Any) -> None:
        async for chunk in ChunkStream(track):
            if chunk is not BREAK:
                samples = np.frombuffer(chunk[0], np.int16).reshape(-1, chunk[3])[:, 0]
                self._blocks.append((chunk[5] / 1e6, samples))

    @property
    def beeps(self) -> list[Beep]:
        return beeps(self._blocks)


def began(recorder: RoomRecorder) -> float:
    return recorder._files._recording._thread._began_ns / 1e9  # type: ignore[attr-defined,no-any-return]


def best(apart: list[float], stretch: int = 3) -> float:
    """How far apart things are in the best stretch; what is wrong by itself is so all the time."""
    if len(apart) < stretch:
        return float("inf")
    return min(median(abs(each) for each in apart[index:][:stretch]) for index in range(len(apart) - stretch + 1))


@pytest.mark.alone
@pytest.mark.parametrize("place", ["room.mkv", "room"])
async def test_a_recording_is_in_step(
    livekit_server, livekit_token, single: bool, film: Path, tmp_path: Path, place: str
) -> None:
    """In one file, and in a file for each track; again, if the machine stood still too often meanwhile."""
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        _,
    ):
        async with playing(alice, film):
            await both_tracks(bob, "alice")
            found: list[float] = []
            for number in range(4):
                path = tmp_path / f"{number}-{place}"
                async with RoomRecorder(bob, path, OPTIONS) as recorder:
                    await recorded_for(recorder, 4.2)
                found.append(best(apart_in(recorder)))
                if found[-1] <= LIP_SYNC:
                    return
            pytest.fail(f"flashes and beeps are {found} s apart")


def apart_in(recorder: RoomRecorder) -> list[float]:
    heard: list[Beep] = []
    seen: list[float] = []
    for file in recorder.files:
        recorded = read_recording(file.path)
        heard += [Beep(each.time + file.began, each.number) for each in recorded.beeps]
        seen += [each + file.began for each in recorded.flashes]
    return offsets(heard, seen)


@pytest.mark.alone
async def test_a_recording_is_in_time(livekit_server, livekit_token, single: bool, film: Path, tmp_path: Path) -> None:
    """Through another layer, a connection that is lost for good and made anew, and a mute."""
    ear = Ear()
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        events,
    ):
        async with playing(alice, film) as (_player, heard, seen):
            sound, picture = await both_tracks(bob, "alice")
            path = tmp_path / "room.mkv"
            async with RoomRecorder(bob, path, OPTIONS) as recorder:
                async with running(ear.listen(sound.track)):
                    await recorded_for(recorder, 2.3)
                    picture.set_video_quality(VideoQuality.VIDEO_QUALITY_LOW)
                    await bob.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
                    await events.wait("reconnected")
                sound, _ = await both_tracks(bob, "alice")
                async with running(ear.listen(sound.track)):
                    await recorded_for(recorder, 2.3)
                    for publication in (heard, seen):
                        publication.track.mute()
                    await events.wait("track_muted", lambda _, publication: publication.name == "picture")
                    muted_at = recorder.stats.duration
                    await recorded_for(recorder, 1.5)
                    unmuted_at = recorder.stats.duration
                    for publication in (heard, seen):
                        publication.track.unmute()
                    await recorded_for(recorder, 1.5)
            assert recorder.stats.dropped_sound_ms == 0

    recorded = read_recording(path)
    assert recorded.audio is not None
    assert recorded.audio[1] == pytest.approx(recorder.stats.duration, abs=0.03)
    assert recorded.video is not None
    assert recorded.video[1] == pytest.approx(recorder.stats.duration, abs=0.05)
    # What was played is what is there, in that order, and where it was played.
    played = ear.beeps
    assert len(played) >= 4
    assert [each.number for each in recorded.beeps if each.number in {one.number for one in played}] == [
        each.number for each in played
    ]
    times = {each.number: each.time for each in recorded.beeps}
    assert best([times[each.number] - (each.time - began(recorder)) for each in played]) <= 0.03
    # What was muted is silent and dark.
    quiet = recorded.sound[int((muted_at + 0.7) * RATE) : int(unmuted_at * RATE)]
    assert np.abs(quiet.astype(np.int32)).max(initial=0) < 1000
    dark = [bright for time, bright in recorded.brightness if muted_at + 0.7 < time < unmuted_at - 0.1]
    assert max(dark, default=16) < 25


async def test_a_track_that_comes_late_and_one_that_is_chosen(
    livekit_server, livekit_token, single: bool, film: Path, tmp_path: Path
) -> None:
    """The first has a file with its own beginning; of the other nothing else is recorded."""
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, _, bob, _):
        where, alone = tmp_path / "room", tmp_path / "sound.wav"
        async with RoomRecorder(bob, where, OPTIONS) as recorder:
            await recorded_for(recorder, 0.5)
            async with playing(alice, film):
                sound, _ = await both_tracks(bob, "alice")
                async with TrackRecorder(bob, alone, sound.track, options=OPTIONS):
                    await recorded_for(recorder, 2.2)

    names = {each.path.name for each in recorder.files}
    assert names == {"alice-microphone.ogg", "alice-camera.mkv"}
    about = json.loads((where / "recording.json").read_text())
    assert {each["file"] for each in about["files"]} == names
    assert min(each["began"] for each in about["files"]) >= 0.4
    heard = read_recording(where / "alice-microphone.ogg")
    seen = read_recording(where / "alice-camera.mkv")
    assert heard.beeps
    assert seen.flashes
    assert (seen.audio, heard.video) == (None, None)
    chosen = read_recording(alone)
    assert chosen.codecs == {"pcm_s16le"}
    assert chosen.beeps
    assert {each.number for each in chosen.beeps} <= {each.number for each in heard.beeps}


async def test_a_recording_of_our_own_tracks(livekit_server, livekit_token, film: Path, tmp_path: Path) -> None:
    """They are in step as they are made, also over a restart, which does not touch them."""
    room, events = await OURS.join(livekit_server.url, livekit_token("alice"), single=True)
    try:
        async with playing(room, film) as (_, heard, seen):
            path = tmp_path / "own.mp4"
            async with TrackRecorder(room, path, heard.track, seen.track, options=OPTIONS) as recorder:
                await recorded_for(recorder, 1.0)
                await room.simulate_scenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
                await events.wait("reconnected")
                await recorded_for(recorder, 4.2)
    finally:
        await room.disconnect()
    recorded = read_recording(path)
    assert best(offsets(recorded.beeps, recorded.flashes)) <= LIP_SYNC
    numbers = [each.number for each in recorded.beeps]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_recording_is_finished_when_it_is_cancelled(
    livekit_server, livekit_token, film: Path, tmp_path: Path
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=True, acquainted=False) as (
        alice,
        _,
        bob,
        _,
    ):
        async with playing(alice, film):
            await both_tracks(bob, "alice")
            path = tmp_path / "cut.mp4"
            started = asyncio.Event()
            recorders: list[RoomRecorder] = []

            async def record() -> None:
                async with RoomRecorder(bob, path, OPTIONS) as recorder:
                    recorders.append(recorder)
                    started.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(record())
            async with asyncio.timeout(DEADLINE):
                await started.wait()
            await recorded_for(recorders[0], 1.5)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()  # and again, in the midst of finishing
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
    recorded = read_recording(path)
    assert recorded.duration == pytest.approx(recorders[0].stats.duration, abs=0.1)
    assert recorded.pictures > 10
