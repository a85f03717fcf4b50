"""What of a file is played when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.playback import Playback, Reserve

RATE = 48_000
PERIOD = 480


def sound(value: int, samples: int, channels: int = 1) -> bytes:
    return value.to_bytes(2, "little") * (samples * channels)


def values(audio: bytes | None) -> list[int]:
    assert audio is not None
    return list(memoryview(audio).cast("h"))


def ready(**more: int) -> Reserve:
    return Reserve(start=PERIOD, **more)


def test_nothing_is_played_before_there_is_something() -> None:
    playback: Playback[str] = Playback(channels=1, has_video=True, rate=RATE)

    played = playback.advance(3)

    assert (played.audio, played.picture, played.stood_still, playback.now) == (None, None, True, 0)
    assert playback.wants_more


def test_sound_and_pictures_leave_at_their_times() -> None:
    playback: Playback[str] = Playback(channels=1, has_video=True, rate=RATE, reserve=ready())
    playback.push_audio(0, sound(7, 5 * PERIOD))
    for number in range(3):
        playback.push_picture(number * 2 * PERIOD, f"p{number}")

    shown = [playback.advance(1).picture for _ in range(5)]

    assert shown == ["p0", None, "p1", None, "p2"]
    assert playback.now == 5 * PERIOD


def test_pictures_are_shown_later_by_the_delay() -> None:
    playback: Playback[str] = Playback(channels=1, has_video=True, rate=RATE, picture_delay=2 * PERIOD, reserve=ready())
    playback.push_audio(0, sound(7, 2 * PERIOD))
    playback.push_picture(0, "p0")
    playback.finish(2 * PERIOD)

    assert [playback.advance(1).picture for _ in range(3)] == [None, None, "p0"]
    assert not playback.ended
    playback.advance(1)
    assert playback.ended


def test_of_pictures_that_are_due_at_once_the_last_is_shown() -> None:
    playback: Playback[str] = Playback(channels=1, has_video=True, rate=RATE, reserve=ready())
    playback.push_audio(0, sound(7, 9 * PERIOD))
    for number in range(4):
        playback.push_picture(number * PERIOD, f"p{number}")

    played = playback.advance(4)

    assert (played.picture, played.skipped) == ("p3", 3)


def test_time_stands_still_for_both_when_sound_is_short() -> None:
    playback: Playback[str] = Playback(channels=1, has_video=True, rate=RATE, reserve=Reserve(start=2 * PERIOD))
    playback.push_audio(0, sound(7, 3 * PERIOD))
    playback.push_picture(0, "p0")
    playback.push_picture(4 * PERIOD, "p1")

    assert not playback.advance(3).stood_still
    assert playback.advance(2).stood_still
    playback.push_audio(3 * PERIOD, sound(8, PERIOD))
    # It does not go on for one period alone.
    assert playback.advance(1).stood_still
    playback.push_audio(4 * PERIOD, sound(9, PERIOD))
    played = playback.advance(2)

    assert values(played.audio) == [8] * PERIOD + [9] * PERIOD
    assert played.picture == "p1"


def test_gaps_in_sound_are_silence_and_overlaps_are_left_out() -> None:
    playback: Playback[str] = Playback(channels=1, has_video=False, rate=RATE, reserve=ready())
    playback.push_audio(0, sound(1, 100))
    playback.push_audio(200, sound(2, 100))
    playback.push_audio(250, sound(3, 2 * PERIOD))

    heard = values(playback.advance(1).audio)

    assert heard == [1] * 100 + [0] * 100 + [2] * 100 + [3] * (PERIOD - 300)


def test_a_file_whose_sound_comes_after_many_pictures_is_played_all_the_same() -> None:
    reserve = Reserve(start=PERIOD, pictures=2, pictures_limit=4)
    playback: Playback[int] = Playback(channels=1, has_video=True, rate=RATE, reserve=reserve)
    for number in range(4):
        assert playback.wants_more
        playback.push_picture(number * PERIOD, number)
    assert not playback.wants_more

    played = playback.advance(1)

    assert (values(played.audio), played.picture, played.stood_still) == ([0] * PERIOD, 0, False)
    assert playback.wants_more
    # Sound whose time is over is dropped, the rest is in its place.
    playback.push_audio(0, sound(5, 3 * PERIOD))
    assert values(playback.advance(1).audio) == [5] * PERIOD


def test_a_restart_forgets_what_waits_and_goes_on_in_time() -> None:
    playback: Playback[str] = Playback(channels=1, has_video=True, rate=RATE, reserve=ready())
    playback.push_audio(0, sound(1, 4 * PERIOD))
    playback.push_picture(0, "old")
    playback.finish(4 * PERIOD)
    playback.advance(2)

    playback.restart()

    assert playback.advance(1).stood_still
    assert not playback.ended
    now = playback.now
    playback.push_audio(now, sound(2, PERIOD))
    playback.push_picture(now, "new")
    played = playback.advance(1)
    assert (values(played.audio), played.picture) == ([2] * PERIOD, "new")


def test_pictures_alone_go_by_their_own_times() -> None:
    playback: Playback[str] = Playback(channels=0, has_video=True, rate=RATE)
    playback.push_picture(0, "p0")
    playback.push_picture(2 * PERIOD, "p1")
    playback.finish(4 * PERIOD)

    played = [playback.advance(1) for _ in range(4)]

    assert [each.picture for each in played] == ["p0", None, "p1", None]
    assert [each.audio for each in played] == [None] * 4
    assert playback.ended


@given(
    blocks=st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 3)), min_size=1, max_size=30),
    steps=st.lists(st.integers(1, 7), min_size=1, max_size=60),
    channels=st.integers(1, 2),
)
def test_every_sample_is_played_once_and_in_order(
    blocks: list[tuple[int, int]], steps: list[int], channels: int
) -> None:
    """However it is cut, and however late the clock is."""
    playback: Playback[None] = Playback(channels=channels, has_video=False, rate=RATE, reserve=Reserve(start=PERIOD))
    expected = b""
    waiting = list(blocks)
    heard = b""
    position = 0
    for step in steps:
        for samples, value in waiting[:2]:
            block = sound(value, samples, channels)
            playback.push_audio(position, block)
            expected += block
            position += samples
        waiting = waiting[2:]
        if not waiting:
            playback.finish(position)
        played = playback.advance(step)
        heard += played.audio or b""
    assert heard[: len(expected)] == expected[: len(heard)]
    assert not any(heard[len(expected) :])
    assert playback.now * channels * 2 == len(heard)
