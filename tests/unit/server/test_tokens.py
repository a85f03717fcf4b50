"""Tokens: what is let in, what is refused, and with which words."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models

from aiolivekit.server.tokens import Claims, TokenError, VideoGrants, read_token, sign_token

KEY, SECRET = "key", "secret" * 8
KEYS = {KEY: SECRET}
NOW = 1_700_000_000.0
CLAIMS = Claims("alice", "Alice", "meta", {"a": "1"}, "agent", VideoGrants(room_join=True, room="r", hidden=True))


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_says_what_was_signed() -> None:
    token = sign_token(CLAIMS, KEY, SECRET, valid_for=60, now=NOW)
    read = read_token(token, KEYS, NOW)
    assert read.video == CLAIMS.video
    assert (read.identity, read.name, read.metadata, read.attributes) == ("alice", "Alice", "meta", {"a": "1"})
    assert read.participant_kind == models.ParticipantInfo.Kind.AGENT
    assert read.expires_at == NOW + 60


def test_the_official_library_reads_and_writes_the_same_tokens() -> None:
    api = pytest.importorskip("livekit.api")
    grants = api.VideoGrants(
        room_join=True, room="r", can_publish_sources=["camera"], can_publish_data=False, can_update_own_metadata=True
    )
    token = api.AccessToken(KEY, SECRET).with_identity("bob").with_name("Bob").with_grants(grants).to_jwt()
    read = read_token(token, KEYS)
    assert read.video is not None
    assert (read.identity, read.name, read.video.room) == ("bob", "Bob", "r")
    assert read.video.allows_source(models.TrackSource.CAMERA)
    assert not read.video.allows_source(models.TrackSource.MICROPHONE)
    assert (read.video.can_publish_data, read.video.can_update_own_metadata) == (False, True)
    ours = sign_token(CLAIMS, KEY, SECRET)
    verified = api.TokenVerifier(KEY, SECRET).verify(ours)
    assert (verified.identity, verified.video.room, verified.attributes) == ("alice", "r", {"a": "1"})


@pytest.mark.parametrize(
    ("valid_for", "at", "why"),
    [
        (60, NOW + 60 + 59, None),
        (60, NOW + 60 + 61, "token is expired"),
        (60, NOW - 59, None),
        (60, NOW - 61, "not valid yet"),
        (-10, NOW + 51, "token is expired"),
    ],
)
def test_times_are_checked_with_a_minute_of_leeway(valid_for: float, at: float, why: str | None) -> None:
    token = sign_token(CLAIMS, KEY, SECRET, valid_for=valid_for, now=NOW)
    if why is None:
        read_token(token, KEYS, at)
        return
    with pytest.raises(TokenError, match=why):
        read_token(token, KEYS, at)


def test_other_algorithms_and_signatures_are_refused() -> None:
    token = sign_token(CLAIMS, KEY, SECRET, now=NOW)
    head, body, tail = token.split(".")
    none = part({"alg": "none", "typ": "JWT"})
    for forged in (
        f"{none}.{body}.",
        f"{none}.{body}.{tail}",
        f"{part({'alg': 'HS512'})}.{body}.{tail}",
        f"{part({'alg': ['HS256']})}.{body}.{tail}",
        f"{head}.{body}.",
        f"{head}.{body}.{tail[:-4]}AAAA",
        f"{head}.{part({'iss': KEY, 'sub': 'mallory'})}.{tail}",
        sign_token(CLAIMS, KEY, "other" * 8, now=NOW),
        sign_token(CLAIMS, "nobody", SECRET, now=NOW),
        f"{head}.{body}",
        "",
        "a.b.c",
        "." * 5,
        "x" * 100_000,
        f"{part([1])}.{part('x')}.{tail}",
    ):
        with pytest.raises(TokenError):
            read_token(forged, KEYS, NOW)


def test_missing_grants_have_the_real_servers_defaults() -> None:
    grants = VideoGrants(room_join=True, room="r", can_publish=False, can_publish_data=False)
    read = read_token(sign_token(Claims("a", video=grants), KEY, SECRET, now=NOW), KEYS, NOW).video
    assert read is not None
    assert not read.allows_source(models.TrackSource.CAMERA)
    without = read_token(sign_token(Claims("a"), KEY, SECRET, now=NOW), KEYS, NOW)
    assert without.video is None


def test_permissions_and_grants_are_the_same_thing() -> None:
    grants = VideoGrants(room_join=True, room="r", can_publish_sources=(models.TrackSource.CAMERA,), recorder=True)
    assert grants.with_permission(grants.to_permission()) == grants


@given(st.text() | st.binary().map(lambda b: b.decode("latin1")) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*"))
def test_no_text_lets_anybody_in(text: str) -> None:
    with pytest.raises(TokenError):
        read_token(text, KEYS, NOW)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.dictionaries(st.text(), c)))
def test_odd_claims_are_refused_or_read(value: object) -> None:
    import hashlib
    import hmac

    payload = {"iss": KEY, "video": value, "sub": value, "attributes": value, "exp": value, "nbf": value}
    signed = f"{part({'alg': 'HS256'})}.{part(payload)}"
    tail = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
    token = f"{signed}.{base64.urlsafe_b64encode(tail).rstrip(b'=').decode()}"
    try:
        claims = read_token(token, KEYS, NOW)
    except TokenError:
        return
    assert claims.video is None or not claims.video.room_join
