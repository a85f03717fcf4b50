"""A program that does nothing else for half a second breaks no track, and what that costs is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from . import media
from .conftest import OURS
from .sdk import DEADLINE, meeting

pytestmark = pytest.mark.e2e

WIDTH, HEIGHT = 320, 180
BLOCK = 0.5
BROKEN = ("track_unsubscribed", "track_unpublished", "track_muted", "reconnecting", "disconnected")


@contextmanager
def camera(rtc: Any, source: Any) -> Iterator[None]:
    """Pictures with numbers, from a thread that a blocked loop does not stop."""
    over = threading.Event()

    def show() -> None:
        number = 0
        while not over.wait(1 / 30):
            number += 1
            frame = rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, media.i420(WIDTH, HEIGHT, 120, 90, 160))
            source.capture_frame(frame, metadata=rtc.FrameMetadata(frame_id=number))

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_a_blocked_loop_breaks_no_track(livekit_server, livekit_token, single: bool) -> None:
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        alice_events,
        _bob,
        events,
    ):
        sound, pictures = rtc.AudioSource(48_000, 1), rtc.VideoSource(WIDTH, HEIGHT)
        features = [rtc.FrameMetadataFeature.FMF_FRAME_ID]
        with camera(rtc, pictures):
            for track, options in (
                (rtc.LocalAudioTrack.create_audio_track("microphone", sound), rtc.TrackPublishOptions()),
                (
                    rtc.LocalVideoTrack.create_video_track("camera", pictures),
                    rtc.TrackPublishOptions(simulcast=False, frame_metadata_features=features),
                ),
            ):
                await alice.local_participant.publish_track(track, options)
            heard, *_ = await events.wait("track_subscribed", lambda track, *_: track.kind == rtc.TrackKind.KIND_AUDIO)
            seen, *_ = await events.wait("track_subscribed", lambda track, *_: track.kind == rtc.TrackKind.KIND_VIDEO)
            ears = rtc.AudioStream(heard)
            eyes = rtc.VideoStream(seen, capacity=3)
            numbers: list[int] = []

            async def look(count: int) -> None:
                for _ in range(count):
                    event = await anext(eyes)
                    if event.metadata is not None:
                        numbers.append(event.metadata.frame_id)

            async with asyncio.timeout(2 * DEADLINE):
                await look(5)
                while not eyes.dropped:
                    # What is queued is played all the while: the media thread needs no loop.
                    await sound.capture_frame(rtc.AudioFrame(media.tone(440, 0, 40_000).tobytes(), 48_000, 1, 40_000))
                    time.sleep(BLOCK)  # noqa: ASYNC251 - this is what is tested
                    await look(5)
                # It goes on, in order, without those that nobody had time for.
                await look(10)
                loudest = 0.0
                while loudest < 0.1:
                    frame = (await anext(ears)).frame
                    loudest = max(loudest, media.rms(media.np.frombuffer(frame.data, media.np.int16)))
            await ears.aclose()
            await eyes.aclose()
        assert numbers == sorted(set(numbers))
        for name in BROKEN:
            assert events.of(name) == []
            assert alice_events.of(name) == []
        await sound.aclose()
        await pictures.aclose()


async def test_each_track_is_subscribed_exactly_once(livekit_server, livekit_token, single: bool) -> None:
    """Those that were there before us, those that come while we are there, and those of a burst."""
    rtc = OURS.rtc
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        _,
        _bob,
        events,
    ):
        sources = [rtc.AudioSource(48_000, 1) for _ in range(6)]

        async def publish(index: int) -> str:
            track = rtc.LocalAudioTrack.create_audio_track(f"sound {index}", sources[index])
            return (await alice.local_participant.publish_track(track)).sid

        early = [await publish(0), await publish(1)]
        await events.wait("track_subscribed", lambda _track, publication, _: publication.sid == early[1])
        late, late_events = await OURS.join(livekit_server.url, livekit_token("carol"), single=single)
        try:
            burst = await asyncio.gather(*(publish(index) for index in range(2, 5)))
            last = await publish(5)
            for recorder in (events, late_events):
                for sid in (*early, *burst, last):
                    await recorder.wait("track_subscribed", lambda _t, publication, _p, sid=sid: publication.sid == sid)
            # Whatever was under way has arrived once this has: it goes the same way, and later.
            await alice.local_participant.publish_data(b"all", reliable=True)
            for recorder in (events, late_events):
                await recorder.wait("data_received")
                sids = [publication.sid for _, publication, _ in recorder.of("track_subscribed")]
                assert sorted(sids) == sorted([*early, *burst, last])
                assert recorder.of("track_unsubscribed") == []
        finally:
            await late.disconnect()
            for source in sources:
                await source.aclose()
