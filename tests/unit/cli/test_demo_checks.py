"""What the demo finds in what arrives, with every fault it is there to find."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aiolivekit.cli.demo.figures import save_frame, save_picture_figure, save_sound, save_tone_figure
from aiolivekit.cli.demo.picture import (
    COLOURS,
    FRAMES,
    HEIGHT,
    WIDTH,
    Pixels,
    ball_at,
    check_pictures,
    draw,
    read_number,
    read_picture,
)
from aiolivekit.cli.demo.result import Check, DemoResult
from aiolivekit.cli.demo.scenario import check_passage
from aiolivekit.cli.demo.servers import Passage
from aiolivekit.cli.demo.text import CONVERSATION, MESSAGES, TextReading, check_text, numbered
from aiolivekit.cli.demo.tone import NOTE_SECONDS, NOTES, RATE, Samples, check_tone, melody, read_melody


def failed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if not check.passed}


# -- the tone -----------------------------------------------------------------------------------------------

LENGTH = round(NOTE_SECONDS * RATE)


def sound() -> Samples:
    return melody() / 32768.0


def with_pauses(samples: Samples) -> Samples:
    return np.concatenate([np.zeros(5000), samples, np.zeros(5000)])


def test_the_melody_is_recognised() -> None:
    reading = read_melody(with_pauses(sound()))
    assert [note.frequency for note in reading.notes] == pytest.approx(NOTES, abs=0.2)
    assert failed(check_tone(reading)) == set()


def test_a_little_noise_and_stretching_are_tolerated() -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, len(sound()))
    late = np.concatenate([sound()[:3000], sound()[1000:3000], sound()[3000:]])
    assert failed(check_tone(read_melody(with_pauses(sound() + noise)))) == set()
    assert failed(check_tone(read_melody(with_pauses(late)))) == set()


def test_holes_are_tolerated() -> None:
    """A busy machine may stop for a moment; what is to be checked is what was played."""
    for at in (LENGTH // 2, LENGTH, 5 * LENGTH // 2):
        torn = np.concatenate([sound()[:at], np.zeros(LENGTH), sound()[at:]])
        reading = read_melody(with_pauses(torn))
        assert failed(check_tone(reading)) == set()
        assert [note.frequency for note in reading.notes] == pytest.approx(NOTES, abs=1)


def test_a_note_knows_when_it_was_heard() -> None:
    notes = read_melody(with_pauses(sound())).notes
    for index, note in enumerate(notes):
        # From its onset, 50 ms of the pause before it are kept.
        assert note.start == pytest.approx(0.05 + index * NOTE_SECONDS, abs=0.04)
        assert note.end == pytest.approx(0.05 + (index + 1) * NOTE_SECONDS, abs=0.04)
        assert note.length == pytest.approx(NOTE_SECONDS, abs=0.05)


def faults_of_sound() -> list[tuple[str, Samples, set[str]]]:
    everything = {"frequencies in order", "length of the notes", "nothing but the tone", "as loud as sent"}
    notes = sound().reshape(len(NOTES), LENGTH)
    swapped = notes[[0, 2, 1, 3]].reshape(-1)
    faster = np.interp(np.arange(0, len(sound()), 1.03), np.arange(len(sound())), sound())
    missing = np.concatenate([notes[0], np.zeros(LENGTH), notes[2], notes[3]])
    noise = np.random.default_rng(1).normal(0, 0.15, len(sound()))
    return [
        ("silence", np.zeros(len(sound())), everything),
        ("nothing", np.zeros(0), everything),
        ("cut off", sound()[: 3 * LENGTH], everything),
        ("swapped notes", swapped, {"frequencies in order"}),
        ("too fast", np.concatenate([faster, np.zeros(LENGTH)]), {"frequencies in order"}),
        ("a missing note", missing, everything),
        ("a short note", np.concatenate([notes[0][: LENGTH // 2], *notes[1:]]), {"length of the notes"}),
        ("noise", sound() + noise, {"nothing but the tone"}),
        ("too soft", sound() * 0.5, {"as loud as sent"}),
        ("too loud", np.clip(sound() * 1.9, -1, 1), {"as loud as sent"}),
    ]


@pytest.mark.parametrize(
    ("samples", "expected"), [fault[1:] for fault in faults_of_sound()], ids=[fault[0] for fault in faults_of_sound()]
)
def test_faults_of_the_tone_are_found(samples: Samples, expected: set[str]) -> None:
    found = failed(check_tone(read_melody(samples)))
    assert found == expected


# -- the moving picture -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames() -> list[Pixels]:
    return [draw(number) for number in range(5, 5 + FRAMES)]


def check(frames: list[Pixels]) -> set[str]:
    return failed(check_pictures([read_picture(frame) for frame in frames]))


def test_the_picture_is_recognised(frames: list[Pixels]) -> None:
    assert check(frames) == set()
    reading = read_picture(frames[7])
    assert reading.number == 12
    assert (reading.width, reading.height) == (WIDTH, HEIGHT)
    assert reading.ball == pytest.approx(ball_at(12), abs=0.3)
    assert np.array(reading.colours) == pytest.approx(np.array([colour for _, colour in COLOURS]), abs=0.5)


@pytest.mark.parametrize("size", [(320, 180), (480, 270)])
def test_a_smaller_picture_is_recognised(frames: list[Pixels], size: tuple[int, int]) -> None:
    smaller = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX)) for frame in frames]
    assert check(smaller) == set()


@settings(deadline=None)
@given(st.integers(0, 4095))
def test_every_number_can_be_read(number: int) -> None:
    assert read_number(draw(number)) == number


def test_a_frame_without_a_bar_code_has_no_number() -> None:
    assert read_number(np.full((HEIGHT, WIDTH, 4), 128, dtype=np.uint8)) is None
    reading = read_picture(np.zeros((HEIGHT, WIDTH, 4), dtype=np.uint8))
    assert (reading.number, reading.ball, reading.ball_error) == (None, None, float("inf"))


def test_lost_frames_are_found(frames: list[Pixels]) -> None:
    assert check(frames[: round(FRAMES * 0.92)]) == set()
    assert check([frame for index, frame in enumerate(frames) if index % 5]) == {"frames received"}
    assert check([]) == {"frames received", "in order", "the ball moves as drawn", "colours"}


def test_a_repeated_frame_counts_once(frames: list[Pixels]) -> None:
    assert "frames received" in check(frames[:30] * 3)


def test_swapped_frames_are_found(frames: list[Pixels]) -> None:
    assert check([*frames[:10], frames[11], frames[10], *frames[12:]]) == {"in order"}


def test_a_frozen_picture_under_a_running_number_is_found(frames: list[Pixels]) -> None:
    frozen = [frame.copy() for frame in frames]
    for frame in frozen:
        frame[:300] = frames[0][:300]
    assert check(frozen) == {"the ball moves as drawn"}


def test_wrong_colours_are_found(frames: list[Pixels]) -> None:
    swapped = [frame[..., [2, 1, 0, 3]] for frame in frames]
    assert check(swapped) == {"colours"}


def test_a_mirrored_picture_is_found(frames: list[Pixels]) -> None:
    assert "colours" in check([frame[:, ::-1] for frame in frames])


# -- the text -----------------------------------------------------------------------------------------------


def text(**changes: list[tuple[str, bytes]]) -> TextReading:
    received = {
        "bob": [("alice", message) for message in numbered("alice")],
        "alice": [("bob", message) for message in numbered("bob")],
        **changes,
    }
    return TextReading(list(CONVERSATION), received, 2.0, [0.003, 0.001, 0.002])


def test_complete_text_passes() -> None:
    reading = text()
    assert failed(check_text(reading)) == set()
    assert reading.rate == MESSAGES
    assert reading.round_trip == 0.002


def test_faults_of_the_text_are_found() -> None:
    good = text().numbered["bob"]
    assert failed(check_text(text(bob=good[:-1]))) == {"alice to bob"}
    assert failed(check_text(text(bob=[*good, good[-1]]))) == {"alice to bob"}
    assert failed(check_text(text(bob=[good[1], good[0], *good[2:]]))) == {"alice to bob"}
    assert failed(check_text(text(bob=[("mallory", payload) for _, payload in good]))) == {"alice to bob"}
    assert failed(check_text(text(alice=[]))) == {"bob to alice"}


def test_the_first_wrong_message_is_named() -> None:
    good = text().numbered["bob"]
    (wrong,) = [check for check in check_text(text(bob=[*good[:5], good[6], *good[6:]])) if not check.passed]
    assert wrong.measured == f"{MESSAGES} messages with another one in place 5"


def test_a_conversation_that_ends_early_is_found() -> None:
    reading = text()
    reading.conversation = reading.conversation[:2]
    assert failed(check_text(reading)) == {"conversation"}
    assert TextReading([], {}, 0.0, []).round_trip is None


# -- the result ---------------------------------------------------------------------------------------------


def test_one_failed_check_fails_the_demo() -> None:
    good, bad = Check("text", "a", True, "", ""), Check("text", "b", False, "", "")
    assert not DemoResult("server").passed
    assert DemoResult("server", checks=[good]).passed
    assert not DemoResult("server", checks=[good, bad, good]).passed


def test_what_went_through_the_server() -> None:
    whole = {"alice": Passage(100, 60), "bob": Passage(60, 98)}
    assert check_passage(whole).passed
    assert check_passage(whole).measured == "sound 100 → 98, picture 60 → 60"
    for broken in ({}, {**whole, "bob": Passage(60, 0)}, {**whole, "alice": Passage(0, 60)}, {"alice": Passage(1, 1)}):
        assert not check_passage(broken).passed


# -- the files ----------------------------------------------------------------------------------------------


def ink(path: Path) -> tuple[tuple[int, int], int]:
    """The size of a picture, and in how many colours it is drawn."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        colours = image.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        return image.size, len(colours)


def test_the_tone_is_drawn(tmp_path: Path) -> None:
    save_tone_figure(read_melody(with_pauses(sound())), tmp_path / "tone.png")
    size, colours = ink(tmp_path / "tone.png")
    assert size == (1080, 720)
    assert colours > 1000


def test_a_spoilt_tone_is_drawn_too(tmp_path: Path) -> None:
    save_tone_figure(read_melody(sound()[: LENGTH // 8]), tmp_path / "tone.png")
    assert ink(tmp_path / "tone.png")[0] == (1080, 720)


def test_the_picture_is_drawn(tmp_path: Path, frames: list[Pixels]) -> None:
    save_picture_figure([read_picture(frame) for frame in frames], frames[50], tmp_path / "picture.png")
    size, colours = ink(tmp_path / "picture.png")
    assert size == (1240, 520)
    assert colours > 1000


def test_a_spoilt_picture_is_drawn_too(tmp_path: Path) -> None:
    grey = np.full((90, 160, 4), 128, dtype=np.uint8)
    save_picture_figure([read_picture(grey)], grey, tmp_path / "picture.png")
    assert ink(tmp_path / "picture.png")[0] == (1240, 520)


def test_sound_and_frame_are_kept(tmp_path: Path) -> None:
    save_sound(sound(), tmp_path / "tone.wav")
    with wave.open(str(tmp_path / "tone.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (RATE, 1, len(sound()))
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert np.abs(samples - melody()).max() <= 1
    save_frame(draw(3), tmp_path / "frame.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "frame.png")), draw(3)[..., :3])
