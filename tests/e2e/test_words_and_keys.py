"""Transcriptions and telephone keys between participants: whose they are, for whom, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from . import media
from .sdk import Recorder, Sdk, meeting, running

pytestmark = pytest.mark.e2e


def plain(segments: Any) -> list[tuple[Any, ...]]:
    return [(s.id, s.text, s.start_time, s.end_time, s.language, s.final) for s in segments]


async def fence(sender: Any, receiver: Recorder) -> None:
    """Wait until what was sent before would have arrived."""
    await sender.local_participant.publish_data(b"fence", topic="fence")
    await receiver.wait("data_received", lambda packet: packet.topic == "fence")


@pytest.mark.parametrize("agent", [True, False], ids=["agent", "standard"])
async def test_transcriptions(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool, agent: bool) -> None:
    first, second = pair

    def token(identity: str) -> str:
        return livekit_token(identity, kind="agent" if agent and identity == "alice" else "standard")

    async with meeting(livekit_server.url, token, first, second, single=single, acquainted=False) as (
        alice,
        alice_events,
        bob,
        bob_events,
    ):
        tracks: dict[str, Any] = {}
        for sdk, room, events, others in (
            (first, alice, alice_events, bob_events),
            (second, bob, bob_events, alice_events),
        ):
            source = sdk.rtc.AudioSource(media.RATE, 1)
            track = sdk.rtc.LocalAudioTrack.create_audio_track("voice", source)
            publication = await room.local_participant.publish_track(track)
            tracks[room.local_participant.identity] = (publication, source)
            await others.wait("track_published", lambda pub, _p, sid=publication.sid: pub.sid == sid)
            assert events is not others
        segment = first.rtc.TranscriptionSegment
        said = [
            segment(id="1", text="grüß", start_time=0, end_time=0, language="", final=False),
            segment(id="1", text="grüß dich 🎉", start_time=5, end_time=2**40, language="de", final=True),
        ]
        # An agent says what the other one said, and what it says itself.
        for identity in ("bob", "alice"):
            for each in said:
                await alice.local_participant.publish_transcription(
                    first.rtc.Transcription(
                        participant_identity=identity, track_sid=tracks[identity][0].sid, segments=[each]
                    )
                )
        await fence(alice, bob_events)
        heard = bob_events.of("transcription_received")
        if not agent:
            assert heard == []
        else:
            assert [plain(segments) for segments, _, _ in heard] == [plain([each]) for each in said] * 2
            assert [participant.identity for _, participant, _ in heard] == ["bob", "bob", "alice", "alice"]
            sids = [tracks[identity][0].sid for identity in ("bob", "bob", "alice", "alice")]
            assert [publication.sid for _, _, publication in heard] == sids
        # Nobody hears themselves.
        assert not alice_events.of("transcription_received")
        for _, source in tracks.values():
            await source.aclose()


async def test_a_transcription_of_somebody_who_is_not_here(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    first, second = pair
    if not second.is_ours:
        pytest.skip("of the official SDK it is not ours to say")

    def token(identity: str) -> str:
        return livekit_token(identity, kind="agent")

    async with meeting(livekit_server.url, token, first, second, single=single) as (alice, _, _bob, bob_events):
        segment = first.rtc.TranscriptionSegment(
            id="1", text="words", start_time=0, end_time=1, language="en", final=True
        )
        transcription = first.rtc.Transcription(participant_identity="nobody", track_sid="TR_x", segments=[segment])
        await alice.local_participant.publish_transcription(transcription)
        segments, participant, publication = await bob_events.wait("transcription_received")
        assert (plain(segments), participant, publication) == (plain([segment]), None, None)


async def test_telephone_keys(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    keys = [(code, digit) for code, digit in enumerate("0123456789*#ABCD")]
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (
        alice,
        alice_events,
        bob,
        bob_events,
    ):
        for sender, receiver in ((alice, bob_events), (bob, alice_events)):
            for code, digit in keys:
                await sender.local_participant.publish_dtmf(code=code, digit=digit)
            await fence(sender, receiver)
            heard = [pressed for (pressed,) in receiver.of("sip_dtmf_received")]
            assert [(pressed.code, pressed.digit) for pressed in heard] == keys
            assert {pressed.participant.identity for pressed in heard} == {sender.local_participant.identity}


async def test_a_key_and_words_wait_for_a_reconnect(
    livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool
) -> None:
    if not all(sdk.is_ours for sdk in pair):
        pytest.skip("of the official SDK it is not ours to say")
    rtc = pair[0].rtc

    def token(identity: str) -> str:
        return livekit_token(identity, kind="agent")

    async with meeting(livekit_server.url, token, *pair, single=single) as (alice, events, _bob, bob_events):

        async def talk() -> None:
            me = alice.local_participant
            for code in range(10):
                await me.publish_dtmf(code=code, digit=str(code))
                segment = rtc.TranscriptionSegment(
                    id=str(code), text="word", start_time=0, end_time=1, language="en", final=True
                )
                await me.publish_transcription(rtc.Transcription("alice", "TR_x", [segment]))

        await alice.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
        async with running(talk()):
            await events.wait("reconnected")
            await bob_events.wait("transcription_received", lambda segments, *_: segments[0].id == "9")
        assert [pressed.code for (pressed,) in bob_events.of("sip_dtmf_received")] == list(range(10))
        ids = [segments[0].id for segments, _, _ in bob_events.of("transcription_received")]
        assert ids == [str(code) for code in range(10)]
