"""A frame processor hears a track and is told where it is; the official SDK does the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from . import media
from .sdk import DEADLINE, Sdk, meeting, running, subscribed, until

pytestmark = pytest.mark.e2e


def processor_of(rtc: Any) -> Any:
    """Return a processor that notes what it is told and marks each frame."""

    class Noting(rtc.FrameProcessor):
        enabled = True

        def __init__(self) -> None:
            self.told: list[Any] = []

        def _on_stream_info_updated(self, **where: str) -> None:
            self.told.append(where)

        def _on_stream_info_cleared(self) -> None:
            self.told.append("info cleared")

        def _on_credentials_updated(self, **credentials: str) -> None:
            self.told.append(credentials)

        def _on_credentials_cleared(self) -> None:
            self.told.append("credentials cleared")

        def _process(self, frame: Any) -> Any:
            frame.userdata["processed"] = True
            return frame

        def _close(self) -> None:
            self.told.append("closed")

    return Noting()


async def test_a_processor_is_told_where_its_track_is(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    sender, receiver = pair
    async with meeting(livekit_server.url, livekit_token, *pair, single=single, acquainted=False) as (
        alice,
        _,
        bob,
        bob_events,
    ):
        source = sender.rtc.AudioSource(media.RATE, 1)
        track = sender.rtc.LocalAudioTrack.create_audio_track("microphone", source)
        publication = await alice.local_participant.publish_track(track, sender.rtc.TrackPublishOptions())
        remote, _, _ = await subscribed(bob_events)
        processor = processor_of(receiver.rtc)
        stream = receiver.rtc.AudioStream(remote, noise_cancellation=processor)
        where, credentials = processor.told
        assert where == {
            "room_name": bob.name,
            "participant_identity": "alice",
            "publication_sid": publication.sid,
        }
        assert credentials == {"token": bob._token, "url": livekit_server.url}
        async with running(media.play_tone(sender.rtc, source, 440.0)):
            event = await asyncio.wait_for(anext(stream), DEADLINE)
        assert event.frame.userdata == {"processed": True}
        await alice.local_participant.unpublish_track(publication.sid)
        await until(lambda: processor.told[2:] == ["info cleared", "credentials cleared"], "the processor is told")
        await stream.aclose()
        assert processor.told[-1] == "closed"
        await source.aclose()
