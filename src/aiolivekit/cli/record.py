"""`aiolivekit record`: join a room and write what is heard and seen there into files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import RecordingError
from . import interrupt
from .connection import ApiKey, ApiSecret, Dual, Identity, RoomName, Target, Token, connect, resolve
from .media_arguments import picture_size, take_server
from .output import UsageProblem, describe_error, fail, print_line, printable
from .progress import Progress, clock, size_words

if TYPE_CHECKING:
    from ..room.recorder import RoomRecorder

__all__ = ["record", "split_arguments"]


class Source(StrEnum):
    """Where tracks come from, in a word."""

    CAMERA = "camera"
    MICROPHONE = "microphone"
    SCREEN = "screen"
    SCREEN_AUDIO = "screen-audio"


def split_arguments(arguments: Sequence[str], url: str | None) -> tuple[str, Path]:
    """Return the server's URL and the path; `url` is the environment's, which makes the first argument optional.

    Raises:
        UsageProblem: If something is missing, or too much.
    """
    url, words = take_server(arguments, url, given=True)
    if len(words) != 1:
        raise UsageProblem("give one file, or one directory, to record to")
    return url, Path(words[0])


def record(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[URL] PATH",
            help="The server (LIVEKIT_URL if left out), and a file (.wav, .opus, .ogg, .mp4, .mov, .webm, .mkv) for "
            "all, or a directory for a file for each track.",
            show_default=False,
        ),
    ],
    token: Token = None,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    room: RoomName = None,
    identity: Identity = None,
    whose: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="IDENTITY",
            help="Whose tracks; may be repeated. Everybody's if left out.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        list[Source] | None,
        typer.Option("--source", help="Which of them; may be repeated. All if left out.", show_default=False),
    ] = None,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave out sound.")] = False,
    no_video: Annotated[bool, typer.Option("--no-video", help="Leave out pictures.")] = False,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Of the recorded picture.")] = "1280x720",
    fps: Annotated[float, typer.Option("--fps", min=1, max=120, help="Pictures a second at most.")] = 30,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    duration: Annotated[
        float | None,
        typer.Option("--duration", metavar="SECONDS", min=0, help="Stop after so long.", show_default=False),
    ] = None,
    dual: Dual = False,
) -> None:
    """Join a room and record it, until Ctrl-C or until the room ends. The file is finished in every case."""
    from .. import RecordingOptions

    url, path = split_arguments(arguments, os.environ.get("LIVEKIT_URL"))
    width, height = picture_size(size)
    try:
        options = RecordingOptions(width=width, height=height, fps=fps, overwrite=overwrite)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    target = resolve(url, token, api_key, api_secret, room, identity)
    chosen: dict[str, Any] = {
        "identities": whose or None,
        "sources": [_source(each) for each in source] if source else None,
        "audio": not no_audio,
        "video": False if no_video else None,
    }
    raise typer.Exit(interrupt.run(_record(target, path, options, chosen, duration=duration, dual=dual)))


def _source(name: Source) -> int:
    from .. import TrackSource

    return {
        Source.CAMERA: TrackSource.SOURCE_CAMERA,
        Source.MICROPHONE: TrackSource.SOURCE_MICROPHONE,
        Source.SCREEN: TrackSource.SOURCE_SCREENSHARE,
        Source.SCREEN_AUDIO: TrackSource.SOURCE_SCREENSHARE_AUDIO,
    }[name]


async def _record(
    target: Target, path: Path, options: Any, chosen: dict[str, Any], *, duration: float | None, dual: bool
) -> int:
    from ..room.recorder import RoomRecorder

    async with connect(target, dual=dual, auto_subscribe=True) as room:
        try:
            recorder = RoomRecorder(room, path, options, **chosen)
            await recorder.start()
        except RecordingError as error:
            fail(f"could not record {describe_error(error)}")
        over = asyncio.Event()
        room.on("disconnected", lambda _reason: over.set())
        print_line(printable(f"recording {room.name or 'the room'} to {path}"))
        status = 0
        waiting = [asyncio.ensure_future(each) for each in (over.wait(), recorder.wait_closed())]
        try:
            async with Progress(lambda: _progress(recorder)), asyncio.timeout(duration):
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            status = 1  # the room is lost, or nothing more can be written
        except (asyncio.CancelledError, TimeoutError):
            # Ctrl-C, or the end of the time asked for: to stop now is what is wanted.
            pass
        finally:
            for each in waiting:
                each.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        try:
            await recorder.aclose()
        except RecordingError as error:
            fail(f"could not record on {describe_error(error)}")
    print_line(printable(f"recorded {_progress(recorder)}: {_files(recorder)}"))
    return status


def _progress(recorder: RoomRecorder) -> str:
    stats = recorder.stats
    tracks = "1 track" if recorder.tracks == 1 else f"{recorder.tracks} tracks"
    words = f"{clock(stats.duration)}, {tracks}, {size_words(stats.size)}"
    if stats.dropped_pictures:
        words += f", {stats.dropped_pictures} pictures dropped"
    if stats.dropped_sound_ms:
        words += f", {stats.dropped_sound_ms / 1000:.1f} s of sound dropped"
    return words


def _files(recorder: RoomRecorder) -> str:
    return ", ".join(str(each.path) for each in recorder.files) or "no tracks came"
