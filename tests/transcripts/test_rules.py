"""What counts as the same: names, descriptions, streams, differences, and the list of accepted ones."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("livekit.api", reason="needs livekit-api")

from google.protobuf.message import Message
from livekit.protocol import models, rtc
from transcripts.accepted import Accepted, AcceptedFileError, read_accepted, stale_entries
from transcripts.compare import ABSENT, Difference, differences
from transcripts.descriptions import candidate_meaning, sdp_meaning, section_labels, without_mids
from transcripts.names import Names
from transcripts.normalise import meaning
from transcripts.recording import Entry
from transcripts.scenarios import load
from transcripts.stage import KITS
from transcripts.streams import Said, StreamKey, streams

from aiolivekit.testing import access_token

SDP = """v=0
o=- 1 2 IN IP4 0.0.0.0
a=group:BUNDLE 0 1 2
a=fingerprint:sha-256 AA:BB
a=ice-lite
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:0
a=setup:active
a=candidate:1 1 udp 9 127.0.0.1 5 typ host
a=sctp-port:5000
m=audio 9 UDP/TLS/RTP/SAVPF 111 0
a=mid:1
a=rtpmap:111 opus/48000/2
a=fmtp:111 useinbandfec=1;minptime=10
a=rtpmap:0 PCMU/8000
a=rtcp-fb:0 nack
a=extmap:3 urn:x
a=sendonly
a=msid:PA_1|TR_1 TR_1
a=ssrc:5 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:2
a=rtpmap:96 VP8/90000
a=recvonly
m=video 0 UDP/TLS/RTP/SAVPF 96
a=mid:3
"""


def said(
    kind: str, body: Message | str | int, *, origin: str = "server", identity: str = "a", step: str = "s"
) -> Entry:
    return Entry(step, identity, 1, origin, kind, body, 0.0)  # type: ignore[arg-type]


def join(sid: str, room: str = "RM_x") -> rtc.JoinResponse:
    return rtc.JoinResponse(
        room=models.Room(sid=room, name="here", creation_time=5),
        participant=models.ParticipantInfo(sid=sid, identity="alice", joined_at=7),
    )


def compare(real: list[Entry], dev: list[Entry], clocked: tuple[str, ...] = ()) -> list[tuple[str, object, object]]:
    sides = [streams(entries, Names(entries, "here"), frozenset(clocked)) for entries in (real, dev)]
    return [(d.path, d.real, d.dev) for d in differences(*sides)[1]]


def test_what_is_made_up_at_run_time_becomes_a_name() -> None:
    entries = [
        said("join", join("PA_one")),
        said("add_track", rtc.AddTrackRequest(cid="c1", name="mic"), origin="client", identity="alice"),
        said(
            "track_published",
            rtc.TrackPublishedResponse(cid="c1", track=models.TrackInfo(sid="TR_9", name="mic")),
            identity="alice",
        ),
        said("join", join("PA_two")),
    ]
    names = Names(entries, "here")
    assert names.replace("PA_one|TR_9") == "<alice>|<alice's mic>"
    assert names.replace("PA_two") == "<alice 2>"
    assert names.replace("c1") == "<cid of alice's mic>"
    assert names.replace("TR_never in here") == "<TR> in <the room>"


def test_messages_of_two_runs_are_the_same() -> None:
    assert compare([said("join", join("PA_one", "RM_1"))], [said("join", join("PA_two", "RM_2"))]) == []


def test_a_time_that_is_missing_is_a_difference() -> None:
    without = join("PA_two")
    without.participant.joined_at = 0
    assert compare([said("join", join("PA_one"))], [said("join", without)]) == [
        ("server.join.participant.joined_at", "<time>", ABSENT)
    ]


def test_tokens_are_compared_by_what_they_say() -> None:
    def token(secret: str, **claims: object) -> Entry:
        return said("refresh_token", access_token("key", secret * 32, "alice", room="here", **claims))

    assert compare([token("a")], [token("b")]) == []
    assert compare([token("a")], [token("a", hidden=True)]) == [("server.refresh_token.video.hidden", False, True)]


def test_a_description_is_reduced_to_what_it_means() -> None:
    tree = sdp_meaning(SDP, {"PA_1": "<alice>", "TR_1": "<mic>"}.get)  # type: ignore[arg-type]
    assert tree["ice-lite"] is True
    assert tree["bundled"] is True
    assert tree["transport"] == {"setup": "active", "fingerprint": "sha-256", "ice-options": ""}
    assert list(tree["sections"]) == ["data", "1", "2", "3"]
    assert tree["sections"]["3"] == {"kind": "video", "mid": "3", "rejected": True}
    audio = tree["sections"]["1"]
    assert audio["codecs"]["111 opus/48000/2"] == {"parameters": ["minptime=10", "useinbandfec=1"], "feedback": []}
    assert audio["codecs"]["0 PCMU/8000"]["feedback"] == ["nack"]
    assert (audio["direction"], audio["msid"], audio["ssrcs"]) == ("sendonly", "<alice>|<mic> <mic>", 1)
    assert list(sdp_meaning(SDP, lambda word: word, spare=False)["sections"]) == ["data", "1", "3"]


def test_a_section_is_called_after_what_it_carries_in_the_answer_too() -> None:
    replace = {"PA_1": "<alice>", "TR_1": "<mic>"}.get
    offer = sdp_meaning(SDP, replace, tracks={"1": "TR_1"})  # type: ignore[arg-type]
    labels = section_labels(offer)
    assert labels == {"0": "data", "1": "<alice>|<mic> <mic>", "2": "2", "3": "3"}
    answer = "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:1\na=recvonly\n"
    assert list(sdp_meaning(answer, lambda word: word, labels=labels)["sections"]) == ["<alice>|<mic> <mic>"]
    assert all("mid" not in section for section in without_mids(offer)["sections"].values())


@pytest.mark.parametrize("text", ["", "v=0", "m=audio", "nonsense", "v=0\nm=audio 9", "m= \na=mid", "m=a b c\na=msid:"])
def test_nonsense_has_a_meaning_too(text: str) -> None:
    assert isinstance(sdp_meaning(text, lambda word: word), dict)
    assert candidate_meaning(text) in ("none", "unreadable")


def test_order_counts_within_a_stream_and_not_between_streams() -> None:
    published = said("track_published", rtc.TrackPublishedResponse(cid="c"))
    answer = said("answer", rtc.SessionDescription(type="answer", sdp="v=0"))
    update = said("update", rtc.ParticipantUpdate(participants=[models.ParticipantInfo(sid="PA_b", identity="b")]))
    trickle = said("trickle", rtc.TrickleRequest(candidateInit='{"candidate": ""}'))
    assert compare([published, answer, update, trickle], [trickle, update, published, answer]) == []
    assert compare([published, answer], [answer, published]) == [
        ("server.order", ["track_published", "answer"], ["answer", "track_published"])
    ]


def test_states_count_as_they_are_at_the_end_of_a_step() -> None:
    def update(*names: str) -> list[Entry]:
        return [
            said(
                "update",
                rtc.ParticipantUpdate(participants=[models.ParticipantInfo(sid="PA_b", identity="b", name=name)]),
            )
            for name in names
        ]

    assert compare(update("one", "two"), update("two")) == []
    assert compare(update("two", "one"), update("two")) == [("server.update about <b>.name", "one", "two")]


def test_what_comes_by_the_clock_counts_where_it_is_the_subject() -> None:
    pong = said("pong_resp", rtc.Pong(timestamp=1, last_ping_timestamp=2))
    assert compare([pong, pong], []) == []
    assert compare([pong, pong], [pong], clocked=("pong_resp",)) == []
    ((path, _, dev),) = compare([pong], [], clocked=("pong_resp",))
    assert (path, dev) == ("server.pong_resp", ABSENT)


def test_a_close_after_a_leave_is_a_race() -> None:
    leave = said("leave", rtc.LeaveRequest(), origin="client")
    assert compare([leave, said("close", "1000")], [leave]) == []
    assert [path for path, _, _ in compare([said("close", "1000")], [])] == ["server.close"]
    asked = said("leave", rtc.LeaveRequest())
    assert compare([asked, said("close", "1000")], [asked, said("close", "1000", origin="client")]) == []


def test_requirements_add_up_and_empty_ones_are_none() -> None:
    def needs(audios: int) -> Entry:
        return said("media_sections_requirement", rtc.MediaSectionsRequirement(num_audios=audios))

    assert compare([needs(1), needs(2), needs(0)], [needs(3)]) == []
    assert compare([needs(0)], []) == []


def test_a_message_that_is_missing_is_found_among_others() -> None:
    key = StreamKey("s", "a", "server", "connection 1")
    real = {key: [Said("join", {}), Said("mute", {"muted": True}), Said("leave", {"reason": "x"})]}
    dev = {key: [Said("join", {}), Said("leave", {"reason": "y"})]}
    compared, found = differences(real, dev)
    assert compared == 3
    assert [(d.path, d.real, d.dev) for d in found] == [
        ("server.mute", {"muted": True}, ABSENT),
        ("server.leave.reason", "x", "y"),
    ]


def test_accepted_differences_are_matched_by_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(
        '[[difference]]\npath = ["server.join.ice_servers", "*.ice-lite"]\nreason = "local"\nkits = "official-*"\n'
        '[[difference]]\npath = "server.gone"\nreason = "was fixed"\n'
        '[[difference]]\npath = "server.race"\nreason = "a race"\nsometimes = true\n'
    )
    accepted = read_accepted(file)
    found = Difference("s", "a", "server.answer.ice-lite", False, True)
    assert accepted[0].covers("join", "official-dual", found)
    assert not accepted[0].covers("join", "ours-dual", found)
    accepted[0].seen = 1
    assert stale_entries(accepted) == ["server.gone: was fixed"]


@pytest.mark.parametrize(
    "text",
    ['path = "x"', 'path = "x"\nreason = " "', 'reason = "x"', 'path = 5\nreason = "x"', 'path = "x"\nreason="y"\nz=1'],
)
def test_an_entry_without_a_path_or_a_reason_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(f"[[difference]]\n{text}\n")
    with pytest.raises(AcceptedFileError):
        read_accepted(file)


def test_the_list_in_the_repository_names_known_scenarios_and_clients() -> None:
    scenarios = load()
    for entry in read_accepted():
        assert isinstance(entry, Accepted)
        assert set(entry.scenarios) <= {"*", *scenarios}
        assert all(kit in KITS or "*" in kit for kit in entry.kits)


def test_every_kind_of_message_can_be_normalised() -> None:
    names = Names([], "")
    for whole in (rtc.SignalResponse, rtc.SignalRequest):
        for field in whole.DESCRIPTOR.fields:
            body = getattr(whole(), field.name)
            meaning(body, field.name, names)
