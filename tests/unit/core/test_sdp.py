from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core import sdp

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1 2",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
        "a=mid:0",
        "a=sendonly",
        "a=msid:PA_x|camera TR_audio",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1;stereo=1",
        "a=rtpmap:63 red/48000/2",
        "a=fmtp:63 111/111",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98",
        "a=mid:1",
        "a=inactive",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=rtpmap:98 VP9/90000",
        "a=fmtp:98 profile-id=0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:2",
        "a=max-message-size:65535",
        "",
    ]
)


def test_media_sections() -> None:
    assert sdp.media_sections(OFFER) == [
        sdp.MediaSection("0", "audio", True, "PA_x|camera", "TR_audio"),
        sdp.MediaSection("1", "video", False, "", ""),
    ]


def test_mids_by_track() -> None:
    assert sdp.mids_by_track(OFFER) == {"TR_audio": "0"}
    assert sdp.mids_by_track(OFFER.replace("sendonly", "recvonly")) == {}


@pytest.mark.parametrize(
    ("line", "sends"),
    [("a=sendrecv", True), ("a=sendonly", True), ("a=recvonly", False), ("a=inactive", False), ("a=other", True)],
)
def test_direction(line: str, sends: bool) -> None:
    assert sdp.media_sections(f"v=0\nm=audio 9 X 0\na=mid:7\n{line}\n")[0].sends is sends


def test_rejected_section_sends_nothing() -> None:
    assert sdp.media_sections("v=0\r\nm=audio 0 X 0\r\na=mid:0\r\na=sendonly\r\n")[0].sends is False
    bundled = "v=0\r\nm=audio 0 X 0\r\na=bundle-only\r\na=mid:0\r\na=sendonly\r\n"
    assert sdp.media_sections(bundled)[0].sends is True
    assert sdp.rejected_mids(bundled) == set()
    two = "v=0\r\nm=audio 0 X 0\r\na=mid:0\r\nm=video 9 X 0\r\na=mid:1\r\nm=video 0 X 0\r\n"
    assert sdp.rejected_mids(two) == {"0"}


@pytest.mark.parametrize(("value", "size"), [("65535", 65535), ("0", 0), ("many", None), (None, None)])
def test_max_message_size(value: str | None, size: int | None) -> None:
    line = "" if value is None else f"a=max-message-size:{value}\r\n"
    assert sdp.max_message_size(f"v=0\r\nm=application 9 X y\r\na=mid:0\r\n{line}") == size


def test_inactive_to_recvonly_keeps_the_rest() -> None:
    assert sdp.inactive_to_recvonly(OFFER) == OFFER.replace("a=inactive", "a=recvonly")
    data = "v=0\r\nm=application 9 X y\r\na=inactive\r\n"
    assert sdp.inactive_to_recvonly(data) == data


def test_sends_stereo() -> None:
    assert sdp.sends_stereo(OFFER) == set()
    assert sdp.sends_stereo(OFFER.replace("stereo=1", "sprop-stereo=1")) == {"0"}


def test_allow_stereo_once_and_where_asked() -> None:
    mono = OFFER.replace(";stereo=1", "")
    assert sdp.allow_stereo(mono) == OFFER
    assert sdp.allow_stereo(OFFER) == OFFER
    assert sdp.allow_stereo(mono, {"1"}) == mono


def test_start_bitrate() -> None:
    edited = sdp.start_bitrate(OFFER, {"1": 1_000_999})
    assert "a=rtpmap:96 VP8/90000\r\na=fmtp:96 x-google-start-bitrate=1000\r\n" in edited
    assert "a=fmtp:98 profile-id=0\r\n" in edited
    assert sdp.start_bitrate(OFFER, {}) == OFFER
    assert "x-google-start-bitrate=450" in sdp.start_bitrate(OFFER, {"1": 450_000})
    assert sdp.start_bitrate(edited, {"1": 1_000_000}) == edited
    h264 = OFFER.replace("98 VP9", "98 H264").replace("profile-id=0", "packetization-mode=1")
    edited = sdp.start_bitrate(h264, {"1": 1_000_000})
    assert "a=fmtp:98 packetization-mode=1;x-google-start-bitrate=1000\r\n" in edited


@given(st.text(alphabet=st.sampled_from("vma=o:\r\n0123 fmtprtpmap/;xopusaudiovideo"), max_size=400))
def test_any_text_is_survived(text: str) -> None:
    sdp.media_sections(text)
    sdp.max_message_size(text)
    sdp.sends_stereo(text)
    sdp.rejected_mids(text)
    # No edit loses a line it does not mean to change.
    for edited in (sdp.inactive_to_recvonly(text), sdp.allow_stereo(text), sdp.start_bitrate(text, {"0": 500_000})):
        assert len(edited) >= len(text)
