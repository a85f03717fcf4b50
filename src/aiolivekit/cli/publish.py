"""`aiolivekit publish`: join a room and send a file, a camera, a screen or a microphone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import LiveKitError, MediaError
from . import interrupt
from .connection import ApiKey, ApiSecret, Dual, Identity, RoomName, Target, Token, connect, resolve
from .media_arguments import picture_size, take_server
from .output import UsageProblem, describe_error, fail, print_line, printable
from .progress import Progress, clock

if TYPE_CHECKING:
    from ..media.media_player import MediaPlayer
    from ..room.room import Room
    from ..room.track import LocalTrack

__all__ = ["publish", "split_arguments"]

_LINGER = 0.5
"""Seconds to stay after the end of a file: what was sent last is still on its way into ears."""


class Codec(StrEnum):
    """The codecs that can be asked for."""

    VP8 = "vp8"
    VP9 = "vp9"
    AV1 = "av1"
    H264 = "h264"


@dataclass(frozen=True, slots=True)
class What:
    """What is published, and how."""

    media: str | None
    camera: bool
    screen: bool
    mic: bool
    device: str | None
    format: str | None
    size: tuple[int, int] | None
    fps: float | None
    loop: bool
    start: float
    audio: bool
    video: bool
    codec: Codec | None
    simulcast: bool
    bitrate: int | None


@dataclass(slots=True)
class _Sources:
    """What is open."""

    player: MediaPlayer | None = None
    tracks: list[tuple[LocalTrack, Any]] = field(default_factory=list)
    endings: list[Any] = field(default_factory=list)


def split_arguments(arguments: Sequence[str], url: str | None, *, device: bool) -> tuple[str, str | None]:
    """Return the server's URL and the file or URL to publish.

    Args:
        arguments: What stands on the command line.
        url: The environment's URL, which makes the first argument optional.
        device: Whether a camera, screen or microphone is published; then nothing else is.

    Raises:
        UsageProblem: If something is missing, or too much.
    """
    # One argument alone is the file when the environment has the server's URL, whatever it looks like.
    url, words = take_server(arguments, url, given=device or len(arguments) > 1 or not url)
    if device and words:
        raise UsageProblem("a file is published, or a camera, screen or microphone; not both")
    if not device and len(words) != 1:
        raise UsageProblem("give one file or URL to publish, or --camera, --screen or --mic")
    return url, words[0] if words else None


def publish(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL] [MEDIA]",
            help="The server (LIVEKIT_URL if left out), and a file, or a URL such as https://… or rtsp://….",
            show_default=False,
        ),
    ] = None,
    token: Token = None,
    api_key: ApiKey = None,
    api_secret: ApiSecret = None,
    room: RoomName = None,
    identity: Identity = None,
    camera: Annotated[bool, typer.Option("--camera", help="Publish a camera.")] = False,
    screen: Annotated[bool, typer.Option("--screen", help="Publish the screen.")] = False,
    mic: Annotated[bool, typer.Option("--mic", help="Publish the microphone, alone or beside those.")] = False,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="Which camera or display; the first if left out."),
    ] = None,
    input_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="FFmpeg's name of the file's format or the device's.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="Of camera or screen.", show_default=False)
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", min=1, max=120, help="Pictures a second of camera or screen.", show_default=False),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin the file anew at its end.")] = False,
    start: Annotated[float, typer.Option("--start", metavar="SECONDS", min=0, help="Where to begin in the file.")] = 0,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave out the file's sound.")] = False,
    no_video: Annotated[bool, typer.Option("--no-video", help="Leave out the file's pictures.")] = False,
    codec: Annotated[
        Codec | None, typer.Option("--codec", help="How pictures are sent; VP8 if left out.", show_default=False)
    ] = None,
    no_simulcast: Annotated[bool, typer.Option("--no-simulcast", help="Send pictures in one size alone.")] = False,
    bitrate: Annotated[
        int | None,
        typer.Option("--bitrate", metavar="KBIT", min=10, help="kbit/s of the full picture.", show_default=False),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option("--duration", metavar="SECONDS", min=0, help="Leave after so long.", show_default=False),
    ] = None,
    dual: Dual = False,
) -> None:
    """Join a room and send a file, a stream, a camera, the screen or the microphone, until its end or Ctrl-C."""
    if camera and screen:
        raise UsageProblem("a camera or the screen; for both, run the command twice")
    url, media = split_arguments(arguments or [], os.environ.get("LIVEKIT_URL"), device=camera or screen or mic)
    what = What(
        media=media,
        camera=camera,
        screen=screen,
        mic=mic,
        device=device,
        format=input_format,
        size=None if size is None else picture_size(size),
        fps=fps,
        loop=loop,
        start=start,
        audio=not no_audio,
        video=not no_video,
        codec=codec,
        simulcast=not no_simulcast,
        bitrate=bitrate,
    )
    if not (what.audio or what.video):
        raise UsageProblem("--no-audio and --no-video leave nothing to publish")
    target = resolve(url, token, api_key, api_secret, room, identity)
    raise typer.Exit(interrupt.run(_publish(target, what, duration=duration, dual=dual)))


async def _publish(target: Target, what: What, *, duration: float | None, dual: bool) -> int:
    async with AsyncExitStack() as stack:
        try:
            sources = await _open(what, stack)
        except MediaError as error:
            fail(f"could not open what is to be published {describe_error(error)}")
        room = await stack.enter_async_context(connect(target, dual=dual))
        try:
            for track, options in sources.tracks:
                await room.local_participant.publish_track(track, options)
        except LiveKitError as error:
            fail(f"could not publish {describe_error(error)}")
        print_line(printable(f"publishing {_described(sources)} in {room.name or 'the room'}"))
        return await _play(room, sources, what, duration)


async def _play(room: Room, sources: _Sources, what: What, duration: float | None) -> int:
    player = sources.player
    if player is not None:
        player.play()
    began = asyncio.get_running_loop().time()
    over = asyncio.Event()
    room.on("disconnected", lambda _reason: over.set())

    def line() -> str:
        if player is None:
            return f"{clock(asyncio.get_running_loop().time() - began)}"
        of = "" if player.duration is None else f" of {clock(player.duration)}"
        loops = f", begun anew {player.loops} times" if player.loops else ""
        waited = f", stood still for {player.stood_still_ms / 1000:.1f} s" if player.stood_still_ms else ""
        return f"{clock(player.position)}{of}{loops}{waited}"

    waiting = [asyncio.ensure_future(each) for each in (over.wait(), *(each() for each in sources.endings))]
    try:
        async with Progress(line), asyncio.timeout(duration):
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        if over.is_set():
            return 1
        await asyncio.sleep(_LINGER)
        print_line(f"ended after {line()}")
    except MediaError as error:
        fail(f"stopped at {line()} {describe_error(error)}")
    except (asyncio.CancelledError, TimeoutError) as end:
        print_line(f"stopped at {line()}")
        # What has no end of its own is ended in no other way.
        unfinished = isinstance(end, asyncio.CancelledError) and player is not None and not what.loop
        return interrupt.INTERRUPTED if unfinished else 0
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return 0


async def _open(what: What, stack: AsyncExitStack) -> _Sources:
    from .. import LocalAudioTrack, LocalVideoTrack, MediaDevices, MediaPlayer, TrackSource, VideoCapture

    sources = _Sources()
    width, height = what.size or (None, None)

    def audio(source: Any, name: str, kind: TrackSource) -> None:
        sources.tracks.append((LocalAudioTrack.create_audio_track(name, source), _options(what, kind)))

    def video(source: Any, name: str, kind: TrackSource) -> None:
        sources.tracks.append((LocalVideoTrack.create_video_track(name, source), _options(what, kind)))

    if what.media is not None:
        player = await MediaPlayer.open(
            what.media, audio=what.audio, video=what.video, loop=what.loop, start=what.start, format=what.format
        )
        sources.player = await stack.enter_async_context(player)
        sources.endings.append(player.wait_ended)
        if player.audio is not None:
            audio(player.audio, "sound", TrackSource.SOURCE_MICROPHONE)
        if player.video is not None:
            video(player.video, "picture", TrackSource.SOURCE_CAMERA)
    if what.camera or what.screen:
        if what.camera:
            capture = await VideoCapture.open_camera(
                what.device, width=width, height=height, fps=what.fps, format=what.format
            )
        else:
            capture = await VideoCapture.open_screen(
                what.device, width=width, height=height, fps=what.fps or 15, format=what.format
            )
        await stack.enter_async_context(capture)
        sources.endings.append(capture.wait_ended)
        if what.camera:
            video(capture.source, "camera", TrackSource.SOURCE_CAMERA)
        else:
            video(capture.source, "screen", TrackSource.SOURCE_SCREENSHARE)
    if what.mic:
        microphone = MediaDevices().open_input(
            enable_aec=False, noise_suppression=False, high_pass_filter=False, auto_gain_control=False
        )
        stack.push_async_callback(microphone.aclose)
        audio(microphone.source, "microphone", TrackSource.SOURCE_MICROPHONE)
    return sources


def _options(what: What, source: Any) -> Any:
    from .. import TrackPublishOptions, VideoCodec, VideoEncoding

    options = TrackPublishOptions(source=source, simulcast=what.simulcast)
    if what.codec is not None:
        options.video_codec = VideoCodec[what.codec.name]
    if what.bitrate is not None:
        options.video_encoding = VideoEncoding(max_bitrate=what.bitrate * 1000, max_framerate=what.fps or 30.0)
    return options


def _described(sources: _Sources) -> str:
    names = " and ".join(track.name for track, _ in sources.tracks)
    player = sources.player
    if player is None:
        return names
    info = player.info
    parts = [info.audio_codec] if info.audio_codec else []
    if info.video_codec:
        rate = f", {info.fps:g} a second" if info.fps else ""
        parts.append(f"{info.video_codec} {info.width}x{info.height}{rate}")
    length = "" if info.duration is None else f", {clock(info.duration)} long"
    return f"{names} ({'; '.join(parts)}{length})"
