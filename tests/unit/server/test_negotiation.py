"""Session descriptions: what is read of a client's, and what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.server.codecs import map_codecs, offered_codecs
from aiolivekit.server.negotiation import (
    LocalTransport,
    OfferSection,
    Outgoing,
    PublishWish,
    answer_sections,
    remote_parameters,
    render_answer,
    render_offer,
)
from aiolivekit.server.sdp import Codec, SdpError, parse_sdp

OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2 3 4
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:LopX
a=ice-pwd:nL3XHGe5xX5JCUXP2eE+pQ8M
a=fingerprint:sha-256 71:B3
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0
a=mid:1
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:- cid-audio
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=ssrc:1001 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 109
a=mid:2
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:99 urn:unknown
a=sendonly
a=msid:- cid-video
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:98 VP9/90000
a=rtpmap:109 H264/90000
a=fmtp:109 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rid:f send
a=rid:h send
a=rid:q send
a=simulcast:send f;~h;q
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:3
a=recvonly
a=rtpmap:96 VP8/90000
a=rtcp-fb:* nack
m=audio 0 UDP/TLS/RTP/SAVPF 111
a=mid:4
a=inactive
a=rtpmap:111 opus/48000/2
""".replace("\n", "\r\n")
LOCAL = LocalTransport("ufrag", "password", "AA:BB", "active", ("candidate:1 1 udp 1 127.0.0.1 9 typ host",))


def test_the_parts_of_an_offer_are_read() -> None:
    session = parse_sdp(OFFER)
    data, audio, video, receiving, rejected = session.media
    assert [m.mid for m in session.media] == ["0", "1", "2", "3", "4"]
    assert (audio.track_id, audio.ssrcs, audio.direction) == ("cid-audio", [1001], "sendonly")
    assert [(c.payload_type, c.mime, c.channels) for c in audio.codecs] == [
        (111, "opus", 2),
        (63, "red", 2),
        (9, "g722", 1),
        (0, "pcmu", 1),
    ]
    assert video.send_rids == ["f", "h", "q"]
    assert video.extensions == {"urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id": 10, "urn:unknown": 99}
    assert video.codecs[0].feedback == ("nack", "nack pli", "goog-remb")
    assert receiving.codecs[0].feedback == ("nack",)
    assert rejected.rejected
    assert not data.rejected
    remote = remote_parameters(session)
    assert (remote.ufrag, remote.fingerprints, remote.setup) == ("LopX", [("sha-256", "71:B3")], "actpass")
    assert (remote.sctp_port, remote.max_message_size) == (5000, 262144)


def test_an_answer_has_the_wished_codec_first_and_only_what_both_know() -> None:
    offer = parse_sdp(OFFER)
    wishes = {"1": PublishWish(red=True, stereo=True), "2": PublishWish("video/h264")}
    outgoing = {"3": Outgoing(42, "PA_x|TR_y", "TR_y")}
    sections = answer_sections(offer, wishes, outgoing)
    answer = parse_sdp(render_answer(1, offer, sections, LOCAL))
    data, audio, video, sending, rejected = answer.media
    assert [c.mime for c in audio.codecs] == ["red", "opus", "pcmu"]
    assert audio.codecs[1].parameters()["stereo"] == "1"
    assert audio.codecs[1].parameters()["usedtx"] == "1"
    assert [c.mime for c in video.codecs] == ["h264", "vp8", "vp9"]
    assert video.get("simulcast") == "recv f;h;q"
    assert video.extensions == {"urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id": 10}
    assert [m.direction for m in (audio, video, sending)] == ["recvonly", "recvonly", "sendonly"]
    assert (sending.stream_id, sending.track_id, sending.ssrcs) == ("PA_x|TR_y", "TR_y", [42])
    assert rejected.rejected
    assert data.get("max-message-size") == "65535"
    assert answer.get("group") == "BUNDLE 0 1 2 3"
    assert answer.get("ice-lite") == ""
    assert remote_parameters(answer).ufrag == "ufrag"


def test_encrypted_audio_comes_without_redundancy() -> None:
    offer = parse_sdp(OFFER)
    sections = answer_sections(offer, {"1": PublishWish(red=False, dtx=False)}, {})
    # The first is what a client sends; the real server, too, only moves it to the front.
    assert [c.mime for c in sections[1].codecs] == ["opus", "red", "pcmu"]
    text = render_answer(1, offer, sections, LOCAL)
    assert "usedtx" not in text


def test_our_offer_reads_back() -> None:
    published = [
        Codec(109, "H264", 90000, 1, "packetization-mode=1;profile-level-id=42e01f;x-google-start-bitrate=1000"),
        Codec(96, "VP8", 90000),
    ]
    codecs = offered_codecs("video", published)
    assert [(c.payload_type, c.fmtp) for c in codecs] == [
        (125, "packetization-mode=1;profile-level-id=42e01f"),
        (96, ""),
    ]
    sections = [
        OfferSection("1", "video", codecs, Outgoing(7, "s", "t")),
        OfferSection("2", "audio", [Codec(111, "opus", 48000, 2)]),
    ]
    offer = parse_sdp(render_offer(1, sections, LOCAL))
    assert [(m.mid, m.direction) for m in offer.media[1:]] == [("1", "sendrecv"), ("2", "recvonly")]
    assert offer.media[1].ssrcs == [7]


def test_payload_types_are_translated_by_meaning() -> None:
    published = [
        Codec(111, "opus", 48000, 2),
        Codec(63, "red", 48000, 2),
        Codec(98, "VP9", 90000, 1, "profile-id=0"),
        Codec(109, "H264", 90000, 1, "packetization-mode=1;profile-level-id=42e01f"),
    ]
    subscribed = [
        Codec(100, "VP9", 90000, 1, "profile-id=2"),
        Codec(101, "VP9", 90000, 1),
        Codec(50, "H264", 90000, 1, "packetization-mode=0;profile-level-id=42e01f"),
        Codec(51, "H264", 90000, 1, "packetization-mode=1;profile-level-id=42001f"),
        Codec(9, "opus", 48000, 2),
    ]
    mappings = map_codecs(published, subscribed)
    assert {number: (m.payload_type, m.red) for number, m in mappings.items()} == {
        111: (9, None),
        63: (9, 0),
        98: (101, None),
        109: (51, None),
    }
    with_red = map_codecs(published, [*subscribed, Codec(10, "red", 48000, 2)])
    assert (with_red[63].payload_type, with_red[63].red) == (10, 9)
    assert map_codecs(published, []) == {}


@pytest.mark.parametrize("text", ["", "hello", "v=0\r\nm=audio", "v=0\r\nm=audio x UDP 1", "v=0" + "a" * 2_000_000])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(SdpError):
        parse_sdp(text)


@given(st.lists(st.sampled_from(OFFER.split("\r\n")) | st.text(max_size=30), max_size=60))
def test_any_lines_are_answered_or_refused(lines: list[str]) -> None:
    try:
        offer = parse_sdp("\r\n".join(["v=0", *lines]))
        remote_parameters(offer)
    except SdpError:
        return
    sections = answer_sections(offer, {}, {})
    parse_sdp(render_answer(1, offer, sections, LOCAL))
