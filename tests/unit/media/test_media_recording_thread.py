"""What is handed to a recording is in the file, at its time."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiolivekit.enums import VideoBufferType
from aiolivekit.errors import RecordingError
from aiolivekit.media import recording_thread
from aiolivekit.media.recording_format import RecordingOptions
from aiolivekit.media.recording_thread import RecordingThread
from aiolivekit.peer.video import native_picture
from tests.marks import FPS, MARK, RATE, Recorded, read_recording, second_of_sound

pytest.importorskip("av")

OPTIONS = RecordingOptions(width=320, height=240, fps=30, channels=1)
BEGIN = 1_000_000_000_000
DEADLINE = 30.0


class Clock:
    """The time of the recording, which the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic_ns(self) -> int:
        return BEGIN + round(self.seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(recording_thread, "time", found)
    monkeypatch.setattr(recording_thread, "_ROUND", 0.002)
    return found


class Stage:
    """A recording, and the tracks in it."""

    def __init__(self, path: Path, clock: Clock, options: RecordingOptions = OPTIONS, **kinds: bool) -> None:
        self.path = path
        self.failures: list[RecordingError] = []
        kinds = {"audio": True, "video": path.suffix not in (".wav", ".opus", ".ogg")} | kinds
        self.thread = RecordingThread(path, options, **kinds, on_failure=self.failures.append)  # type: ignore[arg-type]
        self._clock = clock

    def start(self) -> None:
        self.thread.open()
        self.thread.start()

    def second(self, begin: float, *, key: str = "a", number: int = 0, size: tuple[int, int] = (320, 240)) -> None:
        """A second of a track, with a mark at its beginning."""
        sound = second_of_sound(number)
        pictures = 0
        for chunk in range(100):
            at = begin + chunk / 100
            self.sound(at, sound[chunk * 480 : chunk * 480 + 480], key)
            while pictures / FPS < (chunk + 1) / 100:
                self.picture(begin + pictures / FPS, bright=pictures < MARK * FPS, key=key, size=size)
                pictures += 1

    def taken(self) -> None:
        """Wait until the thread has taken what was handed over; it goes by the test's clock, but runs when it can."""
        end = time.monotonic() + DEADLINE
        while self.thread._waiting:
            assert time.monotonic() < end
            time.sleep(0.002)

    def sound(self, at: float, samples: np.ndarray, key: str = "a", channels: int = 1) -> None:
        self._clock.seconds = max(self._clock.seconds, at + 0.01)
        time_us = BEGIN // 1000 + round(at * 1e6)
        chunk = (samples.tobytes(), 16, RATE, channels, len(samples) // channels, time_us)
        self.thread.hear((key, "sound"), chunk)

    def picture(
        self,
        at: float,
        *,
        bright: bool,
        key: str = "a",
        size: tuple[int, int] = (320, 240),
        later: float = 0.0,
        degrees: int = 0,
    ) -> None:
        width, height = size
        half = ((width + 1) // 2) * ((height + 1) // 2)
        data = memoryview(bytes([220 if bright else 60]) * (width * height) + bytes([128]) * (2 * half))
        picture = native_picture(VideoBufferType.I420, width, height, data)
        self._clock.seconds = max(self._clock.seconds, at)
        end = time.monotonic() + DEADLINE
        while self.thread._pictures_waiting > 20 and not self.failures:
            assert time.monotonic() < end
            time.sleep(0.001)
        self.thread.see((key, "picture"), (picture, BEGIN // 1000 + round(at * 1e6), degrees, 0), later)

    def finish(self, at: float) -> Recorded:
        self._clock.seconds = at
        self.thread.close()
        assert not self.failures
        return read_recording(self.path)


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("r.wav", {"pcm_s16le"}),
        ("r.opus", {"opus"}),
        ("r.ogg", {"opus"}),
        ("r.mp4", {"aac", "h264"}),
        ("r.mov", {"aac", "h264"}),
        ("r.webm", {"opus", "vp8"}),
        ("r.mkv", {"opus", "h264"}),
    ],
)
def test_marks_are_in_their_places(tmp_path: Path, clock: Clock, name: str, codecs: set[str]) -> None:
    stage = Stage(tmp_path / name, clock)
    stage.start()
    for number in range(3):
        stage.second(0.5 + number, number=number)
    found = stage.finish(3.6)

    assert found.codecs == codecs
    assert [each.number for each in found.beeps] == [0, 1, 2]
    assert [each.time for each in found.beeps] == pytest.approx([0.5, 1.5, 2.5], abs=0.012)
    assert found.audio is not None
    assert found.audio[1] == pytest.approx(3.6, abs=0.03)
    if len(codecs) == 2:
        assert found.flashes == pytest.approx([0.5, 1.5, 2.5], abs=0.005)
        # Black before the first, and to the end what was there last.
        assert found.brightness[0] == pytest.approx((0.0, 16), abs=3)
        assert found.video is not None
        assert found.video[1] == pytest.approx(3.6, abs=0.01)
    assert stage.thread.stats.dropped_pictures == stage.thread.stats.dropped_sound_ms == 0
    assert stage.thread.stats.duration == pytest.approx(3.6)
    assert stage.thread.stats.size == (tmp_path / name).stat().st_size


def test_what_is_missing_is_silence_and_the_last_picture_stays(tmp_path: Path, clock: Clock) -> None:
    """A connection is lost for two seconds; what comes by the next one is in its place."""
    stage = Stage(tmp_path / "r.mkv", clock)
    stage.start()
    stage.second(0.0, number=0)
    stage.thread.break_off(("a", "sound"))
    stage.second(3.0, number=3)
    found = stage.finish(4.0)

    assert [(each.number, round(each.time, 1)) for each in found.beeps] == [(0, 0.0), (3, 3.0)]
    assert found.beeps[1].time == pytest.approx(3.0, abs=0.012)
    assert found.flashes[-1] == pytest.approx(3.0, abs=0.005)
    between = [each for each in found.brightness if 1.2 < each[0] < 2.9]
    assert between
    assert all(each[1] == pytest.approx(60, abs=8) for each in between)
    assert not found.sound[int(1.1 * RATE) : int(2.9 * RATE)].any()


def test_a_track_that_comes_later_is_mixed_in(tmp_path: Path, clock: Clock) -> None:
    stage = Stage(tmp_path / "r.wav", clock)
    stage.start()
    loud = np.full(480, 1000, np.int16)
    for chunk in range(200):
        stage.sound(chunk / 100, loud)
        if chunk >= 100:
            stage.sound(chunk / 100, loud, key="b")
    found = stage.finish(2.0)

    assert set(found.sound[: RATE - 480]) == {1000}
    assert set(found.sound[RATE + 480 : 2 * RATE - 480]) == {2000}
    assert len(found.sound) == 2 * RATE


def test_stereo_and_mono_in_one(tmp_path: Path, clock: Clock) -> None:
    import av

    stage = Stage(tmp_path / "r.wav", clock, RecordingOptions(channels=2))
    stage.start()
    pair = np.array([100, -300] * 480, np.int16)
    for chunk in range(100):
        stage.sound(chunk / 100, pair, channels=2)
        stage.sound(chunk / 100, np.full(480, 50, np.int16), key="b")
    stage.finish(1.0)

    with av.open(str(stage.path)) as container:
        samples = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in container.decode(audio=0)])
    assert (samples[RATE // 2] == (150, -250)).all()
    assert len(samples) == RATE


def test_loud_sounds_together_are_clipped(tmp_path: Path, clock: Clock) -> None:
    stage = Stage(tmp_path / "r.wav", clock)
    stage.start()
    for chunk in range(50):
        for key in ("a", "b"):
            stage.sound(chunk / 100, np.full(480, 30_000, np.int16), key=key)
    assert set(stage.finish(0.5).sound[480:-480]) == {32_767}


def test_another_size_of_a_picture_fills_the_same_place(tmp_path: Path, clock: Clock) -> None:
    """Layers are switched: odd and small ones, too; and a picture that is turned."""
    stage = Stage(tmp_path / "r.mkv", clock)
    stage.start()
    sizes = [(320, 240), (160, 120), (107, 80), (640, 480), (319, 239)]
    for number, size in enumerate(sizes):
        stage.picture(0.1 + number * 0.2, bright=number % 2 == 0, size=size)
    stage.picture(1.1, bright=False, size=(240, 320), degrees=90)
    found = stage.finish(1.3)

    def at(second: float) -> float:
        return [bright for when, bright in found.brightness if when <= second + 0.01][-1]

    assert [at(0.1 + number * 0.2) > 150 for number in range(5)] == [True, False, True, False, True]
    assert at(1.1) == pytest.approx(60, abs=8)


def _cell(path: Path, at: float, x: float, y: float) -> float:
    import av

    with av.open(str(path)) as container:
        frame = [each for each in container.decode(video=0) if each.time <= at + 0.01][-1]
    luma = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
    row, column = int(y * frame.height), int(x * frame.width)
    return float(luma[row - 4 : row + 4, column - 4 : column + 4].mean())


def test_several_pictures_lie_beside_one_another(tmp_path: Path, clock: Clock) -> None:
    stage = Stage(tmp_path / "r.mkv", clock)
    stage.start()
    stage.picture(0.1, bright=True, key="a", size=(320, 240))
    stage.picture(0.5, bright=False, key="b", size=(320, 240))
    clock.seconds = 1.0
    stage.thread.hide(("a", "picture"))
    clock.seconds = 1.5
    stage.picture(1.6, bright=True, key="b", later=0.15)
    clock.seconds = 1.6
    stage.thread.hide(("b", "picture"), 0.15)  # behind the one before it
    stage.finish(2.0)

    assert _cell(stage.path, 0.1, 0.5, 0.5) == pytest.approx(220, abs=8)
    assert _cell(stage.path, 0.5, 0.5, 0.25) == pytest.approx(220, abs=8)
    assert _cell(stage.path, 0.5, 0.5, 0.75) == pytest.approx(60, abs=8)
    assert _cell(stage.path, 1.1, 0.5, 0.5) == pytest.approx(60, abs=8)
    assert _cell(stage.path, 1.75, 0.5, 0.5) == pytest.approx(220, abs=8)
    assert _cell(stage.path, 1.8, 0.5, 0.5) == pytest.approx(16, abs=8)


def test_pictures_wait_for_their_sound(tmp_path: Path, clock: Clock) -> None:
    stage = Stage(tmp_path / "r.mkv", clock)
    stage.start()
    stage.picture(0.2, bright=False)
    stage.picture(0.5, bright=True, later=0.15)
    assert stage.finish(1.0).flashes == pytest.approx([0.65], abs=0.005)


def test_a_track_that_says_nothing_does_not_hold_up_the_others(tmp_path: Path, clock: Clock) -> None:
    """It is waited for some seconds, and then it is silent."""
    stage = Stage(tmp_path / "r.wav", clock)
    stage.start()
    stage.sound(0.0, np.full(480, 1000, np.int16), key="gone")
    for chunk in range(1200):
        stage.sound(chunk / 100, np.full(480, 500, np.int16))
        if chunk % 100 == 0:
            stage.taken()
    found = stage.finish(12.0)
    assert set(found.sound[480:]) == {500}
    assert len(found.sound) == 12 * RATE
    assert stage.thread.stats.dropped_sound_ms == 0


@pytest.mark.parametrize("name", ["r.mp4", "r.mkv", "r.webm"])
def test_what_a_killed_program_left_can_be_played(tmp_path: Path, clock: Clock, name: str) -> None:
    stage = Stage(tmp_path / name, clock)
    stage.start()
    for number in range(8):
        stage.second(float(number), number=number)
    end = time.monotonic() + DEADLINE
    while stage.thread._waiting or stage.thread.stats.size < 5_000:
        assert time.monotonic() < end
        time.sleep(0.01)
    copy = tmp_path / f"copy{stage.path.suffix}"
    shutil.copy(stage.path, copy)
    stage.finish(8.0)

    found = read_recording(copy)
    assert [each.number for each in found.beeps][:3] == [0, 1, 2]
    assert [each for each in found.flashes if each > 0.5][:2] == pytest.approx([1.0, 2.0], abs=0.01)


def test_a_full_disk_is_told_and_what_follows_is_counted(clock: Clock, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    full = tmp_path / "full.wav"
    full.symlink_to("/dev/full")
    stage = Stage(full, clock, RecordingOptions(channels=1, overwrite=True))
    try:
        stage.start()
    except RecordingError as error:
        assert "space" in str(error).lower()  # noqa: PT017 - either moment is right
        return
    end = time.monotonic() + DEADLINE
    chunk = 0
    while not stage.failures:
        assert time.monotonic() < end
        stage.sound(chunk / 100, np.full(480, 500, np.int16))
        chunk += 1
        if chunk % 100 == 0:
            time.sleep(0.01)
    assert "space" in str(stage.failures[0]).lower()
    dropped = stage.thread.stats.dropped_sound_ms
    stage.sound(chunk / 100, np.full(480, 500, np.int16))
    assert stage.thread.stats.dropped_sound_ms == dropped + 10
    stage.thread.close()
    assert len(stage.failures) == 1


def test_what_is_too_much_is_dropped_and_counted(clock: Clock, tmp_path: Path) -> None:
    """The thread does not run, as if the disk stood still."""
    stage = Stage(tmp_path / "r.mkv", clock)
    stage.thread.open()
    for _ in range(130):
        stage.thread.see("a", (None, 0, 0, 0), 0.0)  # type: ignore[arg-type]
    for _ in range(6_010):
        stage.thread.hear("a", (b"", 16, RATE, 1, 0, 0))
    assert stage.thread.stats.dropped_pictures == 10
    assert stage.thread.stats.dropped_sound_ms == 100
    stage.thread.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [("r.avi", "ends in"), ("r", "ends in"), ("none/r.mkv", "No such file"), ("there.wav", "already")],
)
def test_what_cannot_be_begun(tmp_path: Path, clock: Clock, name: str, words: str) -> None:
    (tmp_path / "there.wav").touch()
    stage = Stage(tmp_path / name, clock)
    with pytest.raises(RecordingError, match=words) as caught:
        stage.thread.open()
    assert str(tmp_path) not in str(caught.value)
    stage.thread.close()


def test_no_pictures_in_a_file_of_sound(tmp_path: Path, clock: Clock) -> None:
    stage = Stage(tmp_path / "r.wav", clock, video=True)
    with pytest.raises(RecordingError, match="no pictures"):
        stage.thread.open()
    with pytest.raises(RecordingError):
        Stage(tmp_path / "r2.mkv", clock, RecordingOptions(video_codec="nonsense")).thread.open()


@pytest.mark.parametrize(
    "wrong",
    [{"width": 321}, {"height": 8}, {"fps": 0}, {"fps": float("nan")}, {"channels": 3}, {"audio_bitrate": 5}],
)
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        RecordingOptions(**wrong)
