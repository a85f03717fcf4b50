"""`aiolivekit token`: what it puts into a token, and what it finds in one."""

from __future__ import annotations

import contextlib
import io
import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.cli.inspection import format_duration, inspect_token
from aiolivekit.cli.output import UsageProblem
from aiolivekit.cli.token import parse_duration
from aiolivekit.testing import access_token

from .running import Cli

KEY = "a-key"
SECRET = "a-secret-that-is-long-enough-for-hs256"
KEYS = ("--api-key", KEY, "--api-secret", SECRET)


def claims_of(token: str) -> dict:
    return jwt.decode(token.strip(), SECRET, algorithms=["HS256"])


def test_a_token_has_what_was_asked_for(cli: Cli) -> None:
    before = int(time.time())
    done = cli("token", *KEYS, "--room", "lab", "--identity", "bob", "--name", "Bob", "--ttl", "90m")
    assert (done.status, done.err) == (0, "")
    claims = claims_of(done.out)
    assert (claims["iss"], claims["sub"], claims["name"]) == (KEY, "bob", "Bob")
    assert claims["exp"] - claims["nbf"] == 5400
    assert before <= claims["nbf"] <= time.time()
    video = claims["video"]
    assert video["room"] == "lab"
    assert [name for name in video if video[name] is True] == [
        "roomJoin",
        "canPublish",
        "canSubscribe",
        "canPublishData",
        "canUpdateOwnMetadata",
    ]


def test_grants_can_be_taken_and_given(cli: Cli) -> None:
    done = cli(
        *(
            "token",
            *KEYS,
            "--room",
            "lab",
            "--identity",
            "bob",
            "--no-subscribe",
            "--no-data",
            "--no-update",
            "--hidden",
        ),
        *("--publish-source", "camera", "--publish-source", "microphone", "--room-admin", "--kind", "agent"),
        *("--metadata", "m", "--attribute", "a=1", "--attribute", "b=x=y"),
    )
    claims = claims_of(done.out)
    assert claims["kind"] == "agent"
    assert claims["metadata"] == "m"
    assert claims["attributes"] == {"a": "1", "b": "x=y"}
    video = claims["video"]
    assert video["canPublishSources"] == ["camera", "microphone"]
    assert [video[name] for name in ("canPublish", "canSubscribe", "canPublishData", "canUpdateOwnMetadata")] == [
        True,
        False,
        False,
        False,
    ]
    assert video["hidden"] is video["roomAdmin"] is True


def test_a_token_for_the_api_needs_no_room(cli: Cli) -> None:
    done = cli("token", *KEYS, "--no-join", "--room-create", "--room-list")
    video = claims_of(done.out)["video"]
    assert video["roomJoin"] is False
    assert video["roomCreate"] is video["roomList"] is True


def test_key_and_secret_come_from_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_API_KEY", KEY)
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)
    done = cli("token", "--room", "lab", "--identity", "bob")
    assert claims_of(done.out)["iss"] == KEY


def test_the_secret_of_a_dev_server_brings_no_warning(cli: Cli) -> None:
    # Warnings are errors in these tests.
    done = cli("token", "--api-key", "devkey", "--api-secret", "secret", "--room", "lab", "--identity", "bob")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--room", "r", "--identity", "i"), "--api-key and --api-secret"),
        ((*KEYS, "--identity", "i"), "--room is needed"),
        ((*KEYS, "--room", "r"), "--identity is needed"),
        ((*KEYS, "--room", "r", "--identity", "i", "--ttl", "soon"), "'soon' is no duration"),
        ((*KEYS, "--room", "r", "--identity", "i", "--ttl", "0"), "cannot be valid for 0"),
        ((*KEYS, "--room", "r", "--identity", "i", "--ttl", "-5m"), "no duration"),
        ((*KEYS, "--room", "r", "--identity", "i", "--kind", "robot"), "--kind is one of standard, agent"),
        ((*KEYS, "--room", "r", "--identity", "i", "--publish-source", "nose"), "--publish-source is one of camera"),
        ((*KEYS, "--room", "r", "--identity", "i", "--attribute", "a"), "--attribute takes KEY=VALUE"),
        ((*KEYS, "--room", "r", "--identity", "i", "--attribute", "=b"), "--attribute takes KEY=VALUE"),
        (("--inspect",), "the token to look into is missing"),
    ],
)
def test_wrong_usage(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    done = cli("token", *arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1
    assert SECRET not in done.err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45", 45), ("45s", 45), ("90m", 5400), ("6h", 21600), ("1d12h", 129600), ("1d2h3m4s", 93784), (" 6H ", 21600)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "6x", "1h1d", "1.5h", "-1", "6h ago", "9" * 30, "٣h2"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageProblem):
        parse_duration(text)


@given(st.integers(1, 3_000_000_000))
def test_every_number_of_seconds_is_a_duration(seconds: int) -> None:
    assert parse_duration(str(seconds)) == seconds


@given(st.text(max_size=12))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(UsageProblem):
        assert parse_duration(text) > 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min"),
        (86400, "1 d"),
        (90061, "1 d 1 h"),
        (3605, "1 h 5 s"),
    ],
)
def test_durations_are_shown_in_their_largest_units(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text


# -- looking into a token -----------------------------------------------------------------------------------


def test_inspection_shows_grants_and_expiry(cli: Cli) -> None:
    token = access_token(KEY, SECRET, "bob", room="lab", name="Bob", ttl=3600, can_publish_data=False)
    done = cli("token", "--inspect", token)
    assert (done.status, done.err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.out.replace("may not", "may-not").splitlines())
    assert lines["identity"] == "bob"
    assert lines["room"] == "lab"
    assert lines["may"] == "join the room, publish tracks, subscribe to tracks, change its metadata"
    assert lines["may-not"] == "send data"
    assert "(in 59 min" in lines["expires"] or "(in 1 h)" in lines["expires"]
    assert lines["state"] == "valid"
    assert "not checked" in lines["signature"]
    assert token not in done.out


def test_inspection_as_json_from_the_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    token = access_token(KEY, SECRET, "bob", room="lab")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{token}\n"))
    done = cli("token", "--inspect", "-", "--json", "--api-secret", SECRET)
    report = json.loads(done.out)
    assert (report["identity"], report["room"], report["state"]) == ("bob", "lab", "valid")
    assert report["signature"] == "valid"
    assert report["claims"] == claims_of(token)
    assert SECRET not in done.out


def test_inspection_of_the_token_in_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_TOKEN", access_token(KEY, SECRET, "bob", room="lab"))
    assert "bob" in cli("token", "--inspect").out


def test_another_secret_is_found_out(cli: Cli) -> None:
    token = access_token(KEY, SECRET, "bob", room="lab")
    done = cli("token", "--inspect", token, "--api-secret", "another")
    assert "not made with the given secret" in done.out


def test_times_are_judged() -> None:
    now = datetime.now(UTC)
    expired = inspect_token(access_token(KEY, SECRET, "bob", room="lab", ttl=-60))
    early = inspect_token(access_token(KEY, SECRET, "bob", room="lab", valid_from=now + timedelta(hours=1)))
    endless = inspect_token(jwt.encode({"sub": "bob"}, SECRET, algorithm="HS256"))
    assert expired.state(now) == "expired"
    assert early.state(now) == "not valid yet"
    assert endless.state(now) == "without expiry"
    assert any("ago)" in text for label, text, _ in expired.rows(now) if label == "expires")


def test_what_a_token_does_not_say_takes_the_servers_default() -> None:
    report = inspect_token(jwt.encode({"video": {"roomJoin": True}}, SECRET, algorithm="HS256"))
    assert report.may() == (
        ["join the room", "publish tracks", "subscribe to tracks", "send data"],
        ["change its metadata"],
    )
    # Sending data follows publishing.
    report = inspect_token(jwt.encode({"video": {"canPublish": False}}, SECRET, algorithm="HS256"))
    assert report.may()[1] == ["join the room", "publish tracks", "send data", "change its metadata"]


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"video": None, "exp": 1},
        {"video": []},
        {"video": {"canPublish": "yes", "room": 5, "canPublishSources": [1]}},
        {"sub": "\x1b[31mred", "iss": "k", "metadata": "line\nbreak", "exp": 4e9},
        {"exp": 10**40, "nbf": -(10**40)},
    ],
)
def test_odd_claims_are_shown_not_stumbled_over(cli: Cli, claims: dict) -> None:
    # PyJWT itself refuses to encode some of these, so the token is put together by hand.
    token = jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, algorithm="HS256")
    done = cli("token", "--inspect", token)
    assert (done.status, done.err) == (0, "")
    assert "\x1b[31mred" not in done.out


@pytest.mark.parametrize("token", ["x", "a.b.c", "....", "eyJhbGciOiJIUzI1NiJ9.bm8ganNvbg.xx", "é.é.é"])
def test_no_token(cli: Cli, token: str) -> None:
    done = cli("token", "--inspect", token)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("aiolivekit: this is no access token: ")
    assert done.err.count("\n") == 1
