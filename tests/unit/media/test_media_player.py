"""Files are played in real time, in step, from where they are told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiolivekit.errors import ClosedError, MediaFileError
from aiolivekit.media.media_player import MediaPlayer
from aiolivekit.peer.media_thread import PERIOD, Wakeups
from tests.marks import Beep, beeps, flashes, middle_brightness, write_film

pytest.importorskip("av")

DEADLINE = 30.0
RATE = 48_000


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", 3)


@pytest.fixture(autouse=True)
def no_reader_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name == "aiolivekit file"]


class Witness:
    """What a player gives its sources, with the time of the clock that drives it."""

    def __init__(self, player: MediaPlayer) -> None:
        self.time = 0.0
        self.sound: list[tuple[float, np.ndarray]] = []
        self.pictures: list[tuple[float, float]] = []
        self.sizes: set[tuple[int, int]] = set()
        self._player = player
        if player.audio is not None:
            player.audio._play = self._hear  # type: ignore[method-assign]
        if player.video is not None:
            player.video.capture_frame = self._see  # type: ignore[method-assign]

    def _hear(self, samples: bytes) -> None:
        assert self._player.audio is not None
        block = np.frombuffer(samples, np.int16).reshape(-1, self._player.audio.num_channels)[:, 0]
        self.sound.append((self.time, block))

    def _see(self, frame: Any, **_: Any) -> None:
        luma = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height].reshape(frame.height, frame.width)
        self.sizes.add((frame.width, frame.height))
        self.pictures.append((self.time, middle_brightness(luma)))

    async def drive(self, seconds: float, *, periods: int = 1) -> None:
        """Be the clock, which waits for the decoder: how fast that is on this machine is not what is tested."""
        end = self.time + seconds - PERIOD / 2
        while self.time < end and not self._player.ended:
            async with asyncio.timeout(DEADLINE):
                while self._player.is_playing and not self._filled:
                    await asyncio.sleep(0.001)
            wakeups = Wakeups()
            self._player._tick(periods, wakeups)
            wakeups.send()
            self.time += periods * PERIOD

    @property
    def _filled(self) -> bool:
        with self._player._reader.lock:
            playback = self._player._reader.playback
            assert playback is not None
            return not playback.wants_more

    @property
    def beeps(self) -> list[Beep]:
        return beeps(self.sound)

    @property
    def flashes(self) -> list[float]:
        return flashes([(-1.0, 0.0), *self.pictures])


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests are the clock."""
    monkeypatch.setattr("aiolivekit.media.media_player.media_thread.attach", lambda _player: None)


@pytest.mark.usefixtures("by_hand")
async def test_a_film_is_played_in_step(film: Path) -> None:
    async with await MediaPlayer.open(film) as player:
        assert (player.info.width, player.info.height, player.info.channels) == (320, 240, 1)
        assert player.duration == pytest.approx(3.0, abs=0.1)
        witness = Witness(player)
        player.play()
        await witness.drive(10)
        await asyncio.wait_for(player.wait_ended(), DEADLINE)

        assert [each.number for each in witness.beeps] == [0, 1, 2]
        assert [each.time for each in witness.beeps] == pytest.approx([0.0, 1.0, 2.0], abs=0.012)
        # Pictures leave 20 ms later, as much as a packet of sound holds back.
        assert witness.flashes == pytest.approx([0.02, 1.02, 2.02], abs=0.012)
        assert len(witness.pictures) == 90
        assert (player.dropped_pictures, player.bad_packets) == (0, 0)
        assert not player.is_playing


@pytest.mark.usefixtures("by_hand")
async def test_a_loop_has_no_gap(film: Path) -> None:
    async with await MediaPlayer.open(film, loop=True) as player:
        witness = Witness(player)
        player.play()
        await witness.drive(7.5)

        length = witness.beeps[3].time
        assert length == pytest.approx(3.0, abs=0.06)
        assert [each.number for each in witness.beeps] == [0, 1, 2, 0, 1, 2, 0, 1]
        expected = [number // 3 * length + number % 3 for number in range(8)]
        assert [each.time for each in witness.beeps] == pytest.approx(expected, abs=0.012)
        assert witness.flashes == pytest.approx([each + 0.02 for each in expected], abs=0.012)
        assert player.loops == 2
        assert player.position == pytest.approx(7.5 - 2 * length, abs=0.02)


@pytest.mark.usefixtures("by_hand")
async def test_seeking_is_exact_and_pausing_is_silent(film: Path) -> None:
    async with await MediaPlayer.open(film) as player:
        witness = Witness(player)
        player.play()
        await witness.drive(0.5)
        await player.seek(1.95)
        assert player.position == pytest.approx(1.95, abs=0.001)
        await witness.drive(0.5)
        player.pause()
        heard, seen, position = len(witness.sound), len(witness.pictures), player.position
        await witness.drive(2.5)

        assert player.position == position == pytest.approx(2.45, abs=0.001)
        assert not any(block.any() for _, block in witness.sound[heard:])
        # Once a second what stands still is sent again.
        assert len(witness.pictures) - seen == 2
        assert [each.number for each in witness.beeps] == [0, 2]
        assert witness.beeps[1].time == pytest.approx(0.55, abs=0.012)
        assert witness.flashes == pytest.approx([0.02, 0.57], abs=0.012)

        player.play()
        await witness.drive(5)
        assert player.ended
        await player.seek(0)
        assert not player.ended
        await witness.drive(0.3)
        assert witness.beeps[-1].number == 0


@pytest.mark.usefixtures("by_hand")
async def test_a_late_clock_drops_pictures_and_no_sound(film: Path) -> None:
    async with await MediaPlayer.open(film) as player:
        witness = Witness(player)
        player.play()
        await witness.drive(2, periods=20)

        sound = np.concatenate([block for _, block in witness.sound])
        assert len(sound) == 2 * RATE
        assert [each.number for each in beeps([(0.0, sound)])] == [0, 1]
        assert len(witness.pictures) == 10
        assert player.dropped_pictures == pytest.approx(50, abs=2)


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(
    ("name", "options", "sound", "pictures"),
    [
        ("a.wav", {"video": None, "audio": "pcm_s16le", "channels": 2}, True, False),
        ("a.opus", {"video": None, "audio": "libopus"}, True, False),
        ("v.webm", {"video": "libvpx", "audio": None}, False, True),
        ("av.mkv", {"video": "libx264", "audio": "libopus", "size": (342, 190)}, True, True),
    ],
)
async def test_other_containers(
    tmp_path: Path, name: str, options: dict[str, Any], sound: bool, pictures: bool
) -> None:
    path = write_film(tmp_path / name, 2, **options)
    async with await MediaPlayer.open(path) as player:
        assert (player.audio is not None, player.video is not None) == (sound, pictures)
        witness = Witness(player)
        player.play()
        await witness.drive(5)
        assert player.ended
        if sound:
            assert [each.time for each in witness.beeps] == pytest.approx([0.0, 1.0], abs=0.02)
        if pictures:
            assert witness.flashes == pytest.approx([0.02, 1.02], abs=0.012)
            assert witness.sizes == {options.get("size", (320, 240))}


@pytest.mark.usefixtures("by_hand")
async def test_a_part_of_what_there_is(film: Path) -> None:
    async with await MediaPlayer.open(film, audio=False, start=1.5) as player:
        assert player.audio is None
        witness = Witness(player)
        player.play()
        await witness.drive(5)
        assert witness.flashes[-1] == pytest.approx(0.52, abs=0.012)


async def test_the_clock_is_real(film: Path) -> None:
    """On the media thread, which goes on while the loop does not."""
    async with await MediaPlayer.open(film, start=2.5) as player:
        player.play()
        async with asyncio.timeout(DEADLINE):
            await player.wait_ended()
        assert player.position >= 2.95


async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.mp4"
    rubbish.write_bytes(b"this is no film" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path in (tmp_path / "none.mp4", rubbish, empty, tmp_path):
        with pytest.raises(MediaFileError) as caught:
            await MediaPlayer.open(path)
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(MediaFileError, match="refused|could not be opened"):
        await MediaPlayer.open("http://127.0.0.1:9/film.mp4?password=secret", timeout=5)
    sound = write_film(tmp_path / "sound.wav", 1, video=None, audio="pcm_s16le")
    with pytest.raises(MediaFileError, match="nothing"):
        await MediaPlayer.open(sound, audio=False)
    with pytest.raises(ValueError, match="second"):
        await MediaPlayer.open(sound, start=-1)
    with pytest.raises(ValueError, match="sound"):
        await MediaPlayer.open(sound, audio=False, video=False)


@pytest.mark.usefixtures("by_hand")
async def test_a_file_that_breaks_off_says_so_after_what_there_was(film: Path, tmp_path: Path) -> None:
    """What could be decoded is played; then it is told, and going back is still possible."""
    whole = write_film(tmp_path / "whole.mkv", 3, audio="libopus").read_bytes()
    broken = tmp_path / "broken.mkv"
    middle = len(whole) // 2
    spoilt = bytes(byte ^ 0x5A for byte in whole[middle : middle + 2000])
    broken.write_bytes(whole[:middle] + spoilt + whole[middle + 2000 :])
    async with await MediaPlayer.open(broken) as player:
        witness = Witness(player)
        player.play()
        await witness.drive(10)
        assert player.ended
        assert witness.beeps[0].number == 0


async def test_closing_ends_every_wait(film: Path) -> None:
    player = await MediaPlayer.open(film)
    waiting = asyncio.create_task(player.wait_ended())
    await asyncio.sleep(0)
    await player.aclose()
    await player.aclose()

    with pytest.raises(ClosedError):
        await asyncio.wait_for(waiting, DEADLINE)
    for call in (player.play, player.pause):
        with pytest.raises(ClosedError):
            call()
    with pytest.raises(ClosedError):
        await player.seek(1)


async def test_a_player_nobody_holds_lets_go_of_its_file(film: Path) -> None:
    import gc

    player: MediaPlayer | None = await MediaPlayer.open(film)
    assert player is not None
    thread = player._reader._thread
    assert thread is not None
    player = None
    gc.collect()
    await asyncio.to_thread(thread.join, DEADLINE)
    assert not thread.is_alive()
    for _ in range(500):
        from aiolivekit.peer import media_thread

        if media_thread.current() is None:
            break
        await asyncio.sleep(0.01)


async def test_a_cancelled_open_leaves_nothing(film: Path) -> None:
    opening = asyncio.create_task(MediaPlayer.open(film))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
