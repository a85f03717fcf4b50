"""What a recorder makes of a room's events; the tracks are ours, so no server is needed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiolivekit.enums import TrackKind, TrackSource
from aiolivekit.errors import ClosedError, RecordingError
from aiolivekit.media.audio_source import AudioSource
from aiolivekit.media.recording_format import RecordingOptions
from aiolivekit.room import recording_files
from aiolivekit.room.recorder import RoomRecorder, TrackRecorder
from aiolivekit.room.track import LocalAudioTrack

pytest.importorskip("av")

DEADLINE = 30.0
OPTIONS = RecordingOptions(width=64, height=48, channels=1)


class Room:
    """What a recorder needs of one."""

    def __init__(self) -> None:
        self.handlers: dict[str, list[Any]] = {}
        self.remote_participants: dict[str, Any] = {}
        self.local_participant = SimpleNamespace(identity="me", track_publications={})
        self._sources: list[AudioSource] = []

    def on(self, event: str, handler: Any) -> None:
        self.handlers.setdefault(event, []).append(handler)

    def off(self, event: str, handler: Any) -> None:
        self.handlers[event].remove(handler)

    def tell(self, event: str, *arguments: Any) -> None:
        for handler in list(self.handlers.get(event, [])):
            handler(*arguments)

    def track(self) -> LocalAudioTrack:
        source = AudioSource(48_000, 1)
        self._sources.append(source)
        return LocalAudioTrack.create_audio_track("sound", source)

    def publication(self, track: Any, source: TrackSource = TrackSource.SOURCE_MICROPHONE) -> Any:
        return SimpleNamespace(track=track, kind=TrackKind.KIND_AUDIO, source=source, name="sound", muted=False)

    async def aclose(self) -> None:
        for source in self._sources:
            await source.aclose()


def participant(identity: str) -> Any:
    return SimpleNamespace(identity=identity, track_publications={})


@pytest.fixture
async def room() -> Any:
    found = Room()
    yield found
    await found.aclose()
    assert not any(found.handlers.values())


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name == "aiolivekit recording"]


async def until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_track_that_comes_back_goes_on_in_its_file(room: Room, tmp_path: Path) -> None:
    ada = participant("ada")
    async with RoomRecorder(room, tmp_path, OPTIONS) as recorder:  # type: ignore[arg-type]
        first, second = room.track(), room.track()
        publication = room.publication(first)
        room.tell("track_subscribed", first, publication, ada)
        assert recorder.tracks == 1
        room.tell("track_unsubscribed", first, publication, ada)
        assert recorder.tracks == 0
        # With another sid, and another object, as after a restart.
        room.tell("track_subscribed", second, room.publication(second), ada)
        # What is said of the old one afterwards is not of the new one.
        room.tell("track_unsubscribed", first, publication, ada)
        assert recorder.tracks == 1
        await until(lambda: recorder.files[0].stats.duration > 0.1)
    assert [each.path.name for each in recorder.files] == ["ada-microphone.ogg"]


async def test_one_that_stays_away_gets_another_file(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_files, "_GONE", 0.05)
    ada = participant("ada")
    async with RoomRecorder(room, tmp_path, OPTIONS) as recorder:  # type: ignore[arg-type]
        track = room.track()
        publication = room.publication(track)
        room.tell("track_subscribed", track, publication, ada)
        await until(lambda: recorder.files[0].stats.duration > 0.05)
        room.tell("track_unsubscribed", track, publication, ada)
        await until(lambda: not recorder._files._parts)  # type: ignore[attr-defined]
        room.tell("track_subscribed", track, publication, ada)
        await until(lambda: len(recorder.files) == 2)
    assert [each.path.name for each in recorder.files] == ["ada-microphone.ogg", "ada-microphone-2.ogg"]
    about = json.loads((tmp_path / "recording.json").read_text())
    assert [each["file"] for each in about["files"]] == ["ada-microphone.ogg", "ada-microphone-2.ogg"]
    assert about["files"][0]["began"] < about["files"][1]["began"]


async def test_names_of_files_are_safe(room: Room, tmp_path: Path) -> None:
    """Identities are strangers' words."""
    where = tmp_path / "deep" / "down"
    async with RoomRecorder(room, where, OPTIONS) as recorder:  # type: ignore[arg-type]
        for identity in ("../../etc/passwd", "..", "a/b\\c:d\x00", "ÄÖ 1", "x" * 500):
            track = room.track()
            room.tell("track_subscribed", track, room.publication(track), participant(identity))
        await until(lambda: all(each.stats.duration > 0 for each in recorder.files))
    assert {each.path.parent for each in recorder.files} == {where}
    assert [each.path.name for each in recorder.files] == [
        "etc_passwd-microphone.ogg",
        "somebody-microphone.ogg",
        "a_b_c_d-microphone.ogg",
        "ÄÖ_1-microphone.ogg",
        "x" * 60 + "-microphone.ogg",
    ]
    assert {each.name for each in where.iterdir()} == {each.path.name for each in recorder.files} | {"recording.json"}


async def test_what_is_wanted(room: Room, tmp_path: Path) -> None:
    tracks = [room.track() for _ in range(3)]
    choice = {"identities": ["ada"], "sources": [TrackSource.SOURCE_MICROPHONE]}
    async with RoomRecorder(room, tmp_path / "a.wav", OPTIONS, **choice) as recorder:  # type: ignore[arg-type]
        room.tell("track_subscribed", tracks[0], room.publication(tracks[0]), participant("bob"))
        screen = room.publication(tracks[1], TrackSource.SOURCE_SCREENSHARE_AUDIO)
        room.tell("track_subscribed", tracks[1], screen, participant("ada"))
        assert recorder.tracks == 0
        room.tell("track_subscribed", tracks[2], room.publication(tracks[2]), participant("ada"))
        assert recorder.tracks == 1


async def test_tracks_that_are_there_already(room: Room, tmp_path: Path) -> None:
    track = room.track()
    ada = participant("ada")
    ada.track_publications["TR_1"] = room.publication(track)
    room.remote_participants["ada"] = ada
    async with RoomRecorder(room, tmp_path / "a.wav", OPTIONS) as recorder:  # type: ignore[arg-type]
        assert recorder.tracks == 1
    with pytest.raises(ValueError, match="not one"):
        TrackRecorder(room, tmp_path / "b.wav", room.track())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one"):
        TrackRecorder(room, tmp_path / "b.wav")  # type: ignore[arg-type]
    async with TrackRecorder(room, tmp_path / "b.wav", track, options=OPTIONS) as chosen:  # type: ignore[arg-type]
        assert chosen.tracks == 1
        other = room.track()
        room.tell("track_subscribed", other, room.publication(other), participant("bob"))
        assert chosen.tracks == 1


async def test_a_recorder_begins_once_and_ends_once(room: Room, tmp_path: Path) -> None:
    recorder = RoomRecorder(room, tmp_path / "a.wav", OPTIONS)  # type: ignore[arg-type]
    await recorder.start()
    with pytest.raises(RuntimeError):
        await recorder.start()
    closing = asyncio.create_task(recorder.wait_closed())
    await asyncio.gather(recorder.aclose(), recorder.aclose())
    await asyncio.wait_for(closing, DEADLINE)
    with pytest.raises(ClosedError):
        await recorder.start()
    never = RoomRecorder(room, tmp_path / "b.wav", OPTIONS)  # type: ignore[arg-type]
    await never.aclose()
    assert not (tmp_path / "b.wav").exists()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.avi", {}, "ends in"),
        ("a.wav", {"video": True}, "no pictures"),
        ("a.wav", {"audio": False}, "neither"),
        ("a", {"audio_end": ".txt"}, "ends in"),
        ("a", {"video_end": ".ogg"}, "no pictures"),
    ],
)
async def test_what_makes_no_recording(
    room: Room, tmp_path: Path, name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecordingError, match=words):
        RoomRecorder(room, tmp_path / name, **options)  # type: ignore[arg-type]


async def test_what_cannot_be_begun_leaves_nothing(room: Room, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "recording.json").touch()
    for path, words in (
        (tmp_path / "none" / "a.wav", "No such"),
        (tmp_path / "file" / "below", "could not be made"),
        (tmp_path / "old", "already"),
    ):
        recorder = RoomRecorder(room, path, OPTIONS)  # type: ignore[arg-type]
        with pytest.raises(RecordingError, match=words):
            async with recorder:
                pytest.fail("it began")
        await recorder.aclose()


async def test_a_start_that_is_cancelled_leaves_nothing(room: Room, tmp_path: Path) -> None:
    recorder = RoomRecorder(room, tmp_path / "a.wav", OPTIONS)  # type: ignore[arg-type]
    starting = asyncio.create_task(recorder.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await recorder.aclose()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
async def test_a_disk_that_is_full_is_told(room: Room, tmp_path: Path) -> None:
    full = tmp_path / "full.mkv"
    full.symlink_to("/dev/full")
    recorder = RoomRecorder(room, full, RecordingOptions(width=64, height=48, overwrite=True))  # type: ignore[arg-type]
    with pytest.raises(RecordingError, match="space"):
        async with recorder:
            await asyncio.wait_for(recorder.wait_closed(), DEADLINE)
    # An error of the body is not hidden by that of the end.
    other = RoomRecorder(room, full, RecordingOptions(width=64, height=48, overwrite=True))  # type: ignore[arg-type]
    with pytest.raises((KeyError, RecordingError)):
        async with other:
            raise KeyError
