"""`publish` and `record`: their arguments, and what they say when there is nothing to be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiolivekit.cli.media_arguments import picture_size
from aiolivekit.cli.output import UsageProblem
from aiolivekit.cli.progress import clock, size_words
from aiolivekit.cli.publish import split_arguments as publish_arguments
from aiolivekit.cli.record import split_arguments as record_arguments

from .running import Cli

SERVER = "ws://127.0.0.1:9"
TOKEN = ("--token", "a.b.c")


@pytest.mark.parametrize("command", ["publish", "record"])
def test_help(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"Usage: aiolivekit {command}" in done.out


@pytest.mark.parametrize(
    ("arguments", "url", "device", "expected"),
    [
        ([SERVER, "film.mp4"], None, False, (SERVER, "film.mp4")),
        (["film.mp4"], SERVER, False, (SERVER, "film.mp4")),
        (["https://films/film.mp4"], SERVER, False, (SERVER, "https://films/film.mp4")),
        ([SERVER, "https://films/film.mp4"], "ws://other", False, (SERVER, "https://films/film.mp4")),
        ([SERVER], None, True, (SERVER, None)),
        ([SERVER], "ws://other", True, (SERVER, None)),
        ([], SERVER, True, (SERVER, None)),
    ],
)
def test_what_is_published_and_where(
    arguments: list[str], url: str | None, device: bool, expected: tuple[str, str | None]
) -> None:
    assert publish_arguments(arguments, url, device=device) == expected


@pytest.mark.parametrize(
    ("arguments", "url", "device", "words"),
    [
        ([], None, False, "server is missing"),
        (["film.mp4"], None, False, "server is missing"),
        ([SERVER], None, False, "give one file"),
        ([SERVER, "a", "b"], None, False, "give one file"),
        ([SERVER, "a"], None, True, "not both"),
    ],
)
def test_what_cannot_be_published(arguments: list[str], url: str | None, device: bool, words: str) -> None:
    with pytest.raises(UsageProblem, match=words):
        publish_arguments(arguments, url, device=device)


def test_where_to_record() -> None:
    assert record_arguments([SERVER, "a.mkv"], None) == (SERVER, Path("a.mkv"))
    assert record_arguments(["a"], SERVER) == (SERVER, Path("a"))
    for wrong in ([], ["a", "b"], [SERVER]):
        with pytest.raises(UsageProblem):
            record_arguments(wrong, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("publish", SERVER, "film.mp4", "--camera"), "not both"),
        (("publish", SERVER, "--camera", "--screen"), "a camera or the screen"),
        (("publish", SERVER, "film.mp4", "--no-audio", "--no-video"), "nothing to publish"),
        (("publish", SERVER, "film.mp4", "--codec", "h263"), "h263"),
        (("publish", SERVER, "--screen", "--size", "large"), "1280x720"),
        (("record", SERVER, "a.mkv", "--size", "0x5"), "positive"),
        (("record", SERVER, "a.mkv", "--size", "33x55"), "even"),
        (("record", SERVER), "one file"),
    ],
)
def test_misuse(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    done = cli(*arguments, *TOKEN)
    assert done.status == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_what_is_not_there_is_said_before_joining(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("av")
    done = cli("publish", SERVER, str(tmp_path / "none.mp4"), *TOKEN)
    assert (done.status, done.out) == (1, "")
    assert "could not open what is to be published (media file): " in done.err
    assert "No such file" in done.err
    done = cli("publish", SERVER, "--camera", "--device", "nonsense", "--format", "lavfi", *TOKEN)
    assert done.status == 1
    assert "(capture)" in done.err


def test_sizes_and_times_as_people_say_them() -> None:
    assert picture_size("1280X720") == (1280, 720)
    assert [clock(each) for each in (-1, 0, 59.9, 61, 3_725)] == ["0:00", "0:00", "0:59", "1:01", "1:02:05"]
    assert [size_words(each) for each in (0, 999, 1_500, 2_500_000, 3e9)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2.5 MB",
        "3.00 GB",
    ]
