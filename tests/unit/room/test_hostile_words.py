"""No message of the server, however strange, raises out of the room or stops the next one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit.protocol import metrics, models, rtc

from aiolivekit.session import events as session_events
from aiolivekit.session.events import SessionEvent

from .fakes import RELIABLE, Media, Stage, info, track

NUMBERS = st.integers(0, 2**31 - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)
ENUMS = st.integers(0, 12) | st.just(2**31 - 1)
WORDS = st.sampled_from(["", "ann", "bob", "me", "PA_ann", "PA_me", "TR_1", "TR_2", "\x00", "ü" * 50])
IDENTITIES = st.sampled_from(["", "ann", "bob", "me"])
PARTICIPANTS = st.sampled_from(["", "PA_ann", "PA_bob", "PA_me"])
TRACKS = st.sampled_from(["", "TR_1", "TR_2", "TR_mine"])

tracks = st.builds(
    models.TrackInfo, sid=TRACKS, type=ENUMS, name=WORDS, muted=st.booleans(), source=ENUMS, encryption=ENUMS
)
participants = st.builds(
    models.ParticipantInfo,
    sid=PARTICIPANTS,
    identity=IDENTITIES,
    state=ENUMS,
    version=st.integers(0, 4),
    kind=ENUMS,
    kind_details=st.lists(ENUMS, max_size=2),
    joined_at=TIMES,
    joined_at_ms=TIMES,
    name=WORDS,
    metadata=WORDS,
    attributes=st.dictionaries(WORDS, WORDS, max_size=2),
    disconnect_reason=ENUMS,
    tracks=st.lists(tracks, max_size=3),
    permission=st.none() | st.builds(models.ParticipantPermission, can_publish_sources=st.lists(ENUMS, max_size=2)),
)
rooms = st.builds(models.Room, sid=WORDS, name=WORDS, metadata=WORDS, creation_time_ms=TIMES, creation_time=TIMES)
speakers = st.builds(models.SpeakerInfo, sid=PARTICIPANTS, level=st.floats(allow_nan=True), active=st.booleans())
qualities = st.builds(rtc.ConnectionQualityInfo, participant_sid=PARTICIPANTS, quality=ENUMS)
states = st.builds(rtc.StreamStateInfo, participant_sid=PARTICIPANTS, track_sid=TRACKS, state=ENUMS)
segments = st.builds(models.TranscriptionSegment, id=WORDS, text=WORDS, start_time=NUMBERS)
series = st.builds(metrics.TimeSeriesMetric, label=NUMBERS, participant_identity=NUMBERS, track_sid=NUMBERS)
happenings = st.builds(metrics.EventMetric, label=NUMBERS, participant_identity=NUMBERS, metadata=WORDS)
batches = st.builds(
    metrics.MetricsBatch,
    str_data=st.lists(WORDS, max_size=2),
    time_series=st.lists(series, max_size=2),
    events=st.lists(happenings, max_size=2),
)
moves = st.builds(
    rtc.RoomMovedResponse,
    room=rooms,
    token=WORDS,
    participant=st.none() | participants,
    other_participants=st.lists(participants, max_size=2),
)

EVENTS: st.SearchStrategy[SessionEvent] = st.one_of(
    st.builds(session_events.ParticipantUpdate, st.lists(participants, max_size=4)),
    st.builds(session_events.MediaTrackAdded, st.builds(Media), PARTICIPANTS, TRACKS),
    st.builds(session_events.MediaTrackRemoved, PARTICIPANTS, TRACKS),
    st.builds(session_events.DataReceived, PARTICIPANTS, IDENTITIES, st.binary(), WORDS, st.just(RELIABLE), ENUMS),
    st.builds(session_events.TranscriptionReceived, IDENTITIES, TRACKS, st.lists(segments, max_size=2)),
    st.builds(session_events.SipDtmfReceived, IDENTITIES, NUMBERS, WORDS),
    st.builds(session_events.MetricsReceived, IDENTITIES, batches),
    st.builds(session_events.SpeakersChanged, st.lists(speakers, max_size=3)),
    st.builds(session_events.ConnectionQualityUpdate, st.lists(qualities, max_size=3)),
    st.builds(session_events.RoomUpdate, rooms),
    st.builds(session_events.RoomMoved, moves),
    st.builds(session_events.LocalTrackSubscribed, TRACKS),
    st.builds(session_events.LocalTrackUnpublished, TRACKS),
    st.builds(session_events.TrackMuted, TRACKS, st.booleans()),
    st.builds(session_events.RefreshToken, WORDS, WORDS),
    st.builds(session_events.StreamStateUpdate, st.lists(states, max_size=3)),
    st.builds(session_events.SubscriptionPermissionUpdate, PARTICIPANTS, TRACKS, st.booleans()),
    st.builds(session_events.SubscriptionResponse, TRACKS, ENUMS),
)


@pytest.fixture(autouse=True)
def _no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def look_at_everything(stage: Stage) -> None:
    """Read what users read."""
    room = stage.room
    _ = (repr(room), room.creation_time, room.is_recording, room.num_participants)
    for participant in (room.local_participant, *room.remote_participants.values()):
        _ = (repr(participant), participant.kind, participant.kind_details, participant.state, participant.joined_at)
        _ = (participant.permissions, participant.attributes, participant.connection_quality)
        for publication in participant.track_publications.values():
            _ = (repr(publication), publication.kind, publication.encryption_type, publication.audio_features)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENTS, max_size=12))
def test_strange_words(events: list[SessionEvent]) -> None:
    async def hear() -> None:
        stage = await Stage.started(info("ann", tracks=[track("TR_1")]))
        visit = stage.room._visit
        assert visit is not None
        for event in events:
            stage.put(event)
            look_at_everything(stage)
        assert visit.failures == 0
        # And the room goes on: who comes now is seen.
        stage.update(info("last", sid="PA_last", version=99))
        assert stage.room.remote_participants["last"].sid == "PA_last"
        await stage.room.disconnect()

    asyncio.run(hear())
