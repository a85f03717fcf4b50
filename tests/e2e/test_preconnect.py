"""What was said before an agent listened reaches it as bytes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest
from livekit.protocol import models

from . import media
from .conftest import OURS
from .sdk import Recorder, Sdk, running, subscribed

pytestmark = pytest.mark.e2e

TOPIC = "lk.agent.pre-connect-audio-buffer"


@pytest.mark.parametrize("listener", ["ours", "official"])
async def test_an_agent_hears_what_was_said_before(
    request: pytest.FixtureRequest, livekit_server, livekit_token, listener: str
) -> None:
    if listener == "official" and livekit_server.kind == "embedded":
        pytest.skip("the official SDK meets it in tests/server")
    other = OURS if listener == "ours" else Sdk("official", request.getfixturevalue("official"))
    rtc = OURS.rtc
    source = rtc.AudioSource(48_000, 1)
    source.start_preconnect_buffer()
    async with running(media.play_tone(rtc, source, 440)):
        # Said before there is a room: at least what was captured beyond the queue has been played.
        while len(source._preconnect._pieces) < 60:
            await asyncio.sleep(0.01)
        async with AsyncExitStack() as exits:
            alice, _ = await OURS.join(livekit_server.url, livekit_token("alice"), single=True)
            exits.push_async_callback(alice.disconnect)
            track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
            publication = await alice.local_participant.publish_track(
                track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, preconnect_buffer=True)
            )
            assert models.AudioTrackFeature.TF_PRECONNECT_BUFFER in publication.audio_features
            got: asyncio.Future[tuple[Any, bytes]] = asyncio.get_running_loop().create_future()
            tasks = set()

            def take(reader: Any, _identity: str) -> None:
                async def read() -> None:
                    got.set_result((reader.info, b"".join([chunk async for chunk in reader])))

                tasks.add(asyncio.ensure_future(read()))

            agent = other.rtc.Room()
            agent.register_byte_stream_handler(TOPIC, take)
            events = Recorder(agent)
            token = livekit_token("agent", kind="agent")
            await agent.connect(livekit_server.url, token, other.rtc.RoomOptions(single_peer_connection=True))
            exits.push_async_callback(agent.disconnect)
            _, theirs, _ = await subscribed(events)
            async with asyncio.timeout(15):
                info, samples = await got
    await source.aclose()
    assert info.attributes == {"trackId": theirs.sid, "sampleRate": "48000", "channels": "1"}
    heard = np.frombuffer(samples, dtype=np.int16).astype(np.float64)
    assert len(heard) >= 48_000 * 0.6
    assert media.peak_frequency(heard) == pytest.approx(440, abs=3)
    # Where this busy machine captured nothing, the source has played silence.
    assert media.rms(heard) > 0.15


async def test_without_an_agent_it_is_dropped(livekit_server, livekit_token, monkeypatch, caplog) -> None:
    monkeypatch.setattr("aiolivekit.room.preconnect._PATIENCE", 0.2)
    rtc = OURS.rtc
    alice, _ = await OURS.join(livekit_server.url, livekit_token("alice"), single=True)
    source = rtc.AudioSource(48_000, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    try:
        await alice.local_participant.publish_track(track, rtc.TrackPublishOptions(preconnect_buffer=True))
        async with asyncio.timeout(15):
            while source._preconnect is not None:
                await asyncio.sleep(0.01)
    finally:
        await alice.disconnect()
        await source.aclose()
    assert "no agent came to listen" in caplog.text
