"""What the options of a publication ask for is what is announced, and what is sent."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from aiolivekit.core.encodings import Encoding
from aiolivekit.enums import DegradationPreference
from aiolivekit.options import AudioEncoding, VideoEncoding
from aiolivekit.stats import OutboundRtpStreamStats

from . import media
from .conftest import OURS
from .sdk import DEADLINE, meeting, running, subscribed, until

pytestmark = pytest.mark.e2e

rtc: Any = OURS.rtc


async def outbound(track: Any) -> dict[str, OutboundRtpStreamStats]:
    """What is sent of a track, by rid."""
    sent = [each.outbound_rtp.outbound for each in await track.get_stats() if each.HasField("outbound_rtp")]
    return {each.rid: each for each in sent}


async def settled(track: Any, sizes: dict[str, tuple[int, int]]) -> dict[str, OutboundRtpStreamStats]:
    """Wait until every layer is sent in its size; encoders may begin with smaller ones."""
    async with asyncio.timeout(DEADLINE):
        while True:
            sent = await outbound(track)
            if {rid: (each.frame_width, each.frame_height) for rid, each in sent.items()} == sizes:
                return sent
            await asyncio.sleep(0.05)


async def test_layers_are_sent_as_they_are_announced(livekit_server, livekit_token, single: bool) -> None:
    width, height = 960, 540
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA,
            stream="group",
            video_encoding=VideoEncoding(max_bitrate=900_000, max_framerate=24.0, priority="medium"),
            degradation_preference=DegradationPreference.MAINTAIN_RESOLUTION,
        )
        async with running(media.show_colours(rtc, source, width, height, [])):
            mine = await alice.local_participant.publish_track(track, options)
            _, theirs, _ = await subscribed(events)
            announced = {each.rid: (each.width, each.height) for each in theirs._info.layers}
            assert announced == {"q": (320, 180), "h": (640, 360), "f": (width, height)}
            assert (theirs._info.stream, theirs.source, theirs.simulcasted) == ("group", options.source, True)
            bitrates = {each.rid: each.bitrate for each in theirs._info.layers}
            in_force = {each.rid: each for each in mine._sender.in_force()}
            assert {rid: each.max_bitrate for rid, each in in_force.items()} == bitrates
            assert in_force["f"] == Encoding("f", True, 900_000, 24.0, 1.0, in_force["f"].scalability_mode, "low")
            assert in_force["q"].priority == "medium"
            parameters = mine._sender._transceiver.sender.get_parameters()
            assert parameters.degradation_preference == "maintain-resolution"
            sent = await settled(track, announced)
            for rid, each in sent.items():
                assert each.target_bitrate <= bitrates[rid]
        await source.aclose()


@pytest.mark.parametrize(("codec", "mode"), [("VP8", "L1T3"), ("VP9", "L2T2_KEY"), ("AV1", "L1T2")])
async def test_the_scalability_mode_asked_for_is_in_force(livekit_server, livekit_token, codec: str, mode: str) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=True, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = rtc.VideoSource(640, 360)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.Value(codec), scalability_mode=mode)
        async with running(media.show_colours(rtc, source, 640, 360, [])):
            mine = await alice.local_participant.publish_track(track, options)
            _, theirs, _ = await subscribed(events)
            assert theirs.mime_type == f"video/{codec}"
            [encoding] = mine._sender.in_force()
            assert encoding.scalability_mode == mode

            async def sent_so() -> None:
                while [each.scalability_mode for each in (await outbound(track)).values()] != [mode]:
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(sent_so(), DEADLINE)
        await source.aclose()


@pytest.mark.parametrize("plain", [False, True], ids=["as it is by default", "without extras"])
async def test_sound_is_sent_as_it_was_asked_for(livekit_server, livekit_token, single: bool, plain: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        source = rtc.AudioSource(media.RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions()
        if plain:
            encoding = AudioEncoding(max_bitrate=20_000, priority="high")
            options = rtc.TrackPublishOptions(dtx=False, red=False, audio_encoding=encoding)
        async with running(media.play_tone(rtc, source, 440.0)):
            mine = await alice.local_participant.publish_track(track, options)
            await subscribed(events)
            [encoding] = mine._sender.in_force()
            assert encoding.max_bitrate == (20_000 if plain else 48_000)
            if plain:
                assert encoding.priority == "high"
            assert mine.mime_type == ("audio/opus" if plain else "audio/red")
            answer = mine._sender._pc.remote_description.sdp
            section = next(part for part in answer.split("m=audio")[1:] if f"a=mid:{mine._sender.mid}\r" in part)
            assert ("usedtx=1" in section) is not plain

            first = section.split("SAVPF ", 1)[1].split(" ", 1)[0].strip()
            assert f"a=rtpmap:{first} {'opus' if plain else 'red'}/48000/2" in section
        await source.aclose()


def without_codec(sdp: str, codec: str) -> str:
    """Leave a codec, and what resends it, out of a description."""
    numbers = set(re.findall(rf"a=rtpmap:(\d+) {codec}/", sdp))
    numbers |= {rtx for rtx, apt in re.findall(r"a=fmtp:(\d+) apt=(\d+)", sdp) if apt in numbers}
    lines = []
    for line in sdp.splitlines():
        if line.startswith("m=video"):
            head, formats = line.split("SAVPF ", 1)
            line = f"{head}SAVPF " + " ".join(each for each in formats.split(" ") if each not in numbers)
        elif (match := re.match(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+)", line)) and match[1] in numbers:
            continue
        lines.append(line)
    return "\r\n".join([*lines, ""])


@pytest.mark.parametrize("policy", ["REGRESSION", "SIMULCAST"])
async def test_a_backup_codec_for_one_who_needs_it(livekit_server, livekit_token, policy: str) -> None:
    """Carol cannot receive VP9. With two peer connections she says so where the server offers it."""
    if livekit_server.kind == "embedded":
        pytest.skip("the dev server does not ask for backup codecs")
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=False, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        carol, carol_events = await OURS.join(livekit_server.url, livekit_token("carol"), single=False)
        subscriber = carol._visit.engine._sessions.current._peers._subscriber
        set_offer = subscriber.set_offer
        subscriber.set_offer = lambda sdp: set_offer(without_codec(sdp, "VP9"))
        source = rtc.VideoSource(320, 240)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(
            video_codec=rtc.VideoCodec.VP9,
            backup_codec=rtc.VideoCodec.VP8,
            backup_codec_policy=rtc.BackupCodecPolicy.Value(policy),
            simulcast=False,
        )
        try:
            async with running(media.show_colours(rtc, source, 320, 240, [])):
                mine = await alice.local_participant.publish_track(track, options)
                for recorder in (events, carol_events):
                    remote, _, _ = await subscribed(recorder)
                    assert remote.sid == mine.sid
                    stream = rtc.VideoStream(remote, format=rtc.VideoBufferType.I420)
                    async with asyncio.timeout(DEADLINE):
                        picture = (await anext(stream)).frame
                    await stream.aclose()
                    assert media.planes(picture) == pytest.approx((180, 90, 160), abs=15)
                assert mine._backup is not None
                first = (policy == "SIMULCAST",)
                await until(lambda: mine._sender.active == first, "the first codec is sent as the policy says")
                assert mine._backup.active == (True,)
                backup = mine._backup
                await alice.local_participant.unpublish_track(mine.sid)
                await carol_events.wait("track_unpublished")
                assert backup._pc is None
        finally:
            await carol.disconnect()
        await source.aclose()
