"""Statuses and words of livekit-server 1.13.5, as it was seen to say them, and of what stands in front of servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit import errors
from aiolivekit.core.signal_errors import HttpAnswer, explain, handshake_error, redact, status_error

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"

SAID = [
    # (status, words, error, retryable)
    (401, "invalid token: <token>, error: token has invalid claims: token is expired", errors.TokenExpiredError),
    (401, "invalid token: <token>, error: token has invalid claims: token is not valid yet", errors.InvalidTokenError),
    (401, "invalid token: <token>, error: token signature is invalid: signature is invalid", errors.InvalidTokenError),
    (401, "invalid authorization token", errors.InvalidTokenError),
    (401, "invalid authorization header. Must start with Bearer", errors.InvalidTokenError),
    (401, "invalid API key", errors.InvalidTokenError),
    (401, "permissions denied", errors.PermissionDeniedError),
    (401, "no permissions to access the room", errors.PermissionDeniedError),
    (403, "", errors.PermissionDeniedError),
    (403, "Forbidden", errors.PermissionDeniedError),
    (404, "requested room does not exist", errors.RoomNotFoundError),
    (404, "404 page not found", errors.ProtocolError),
    (404, "", errors.ProtocolError),
    (400, "no room name", errors.ServerRefusedError),
    (400, "identity cannot be empty", errors.ServerRefusedError),
    (400, "participant identity length exceeds limits: max length 256", errors.ServerRefusedError),
    (431, "431 Request Header Fields Too Large", errors.ServerRefusedError),
    (429, "", errors.ServerFullError),
    (503, "node has exceeded its configured limit", errors.ServerFullError),
    (500, "room has exceeded its max participants", errors.ServerFullError),
    (500, "connection closed by media", errors.ServerRefusedError),
    (502, "Bad Gateway", errors.ServerRefusedError),
    (599, "", errors.ServerRefusedError),
]


@pytest.mark.parametrize(("status", "words", "kind"), SAID)
def test_validated_answers(status: int, words: str, kind: type[errors.ConnectError]) -> None:
    error = status_error(HttpAnswer(status, words))
    assert type(error) is kind
    assert (error.status, error.detail) == (status, words)
    if status != 404 or kind is errors.RoomNotFoundError:
        # The same when it comes from validate after a handshake that said less.
        bare = handshake_error(HttpAnswer(status, ""))
        explained = explain(bare, HttpAnswer(status, words))
        assert (type(explained), explained.status, explained.detail) == (kind, status, words)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (101, errors.ProtocolError),
        (200, errors.ProtocolError),
        (204, errors.ProtocolError),
        (301, errors.ServerRefusedError),
        (307, errors.ServerRefusedError),
        (401, errors.ServerRefusedError),
        (403, errors.ServerRefusedError),
        (404, errors.ProtocolError),
        (429, errors.ServerFullError),
        (500, errors.ServerRefusedError),
        (503, errors.ServerFullError),
    ],
)
def test_handshakes_alone(status: int, kind: type[errors.ConnectError]) -> None:
    """A bare 401 says nothing final about the token."""
    error = handshake_error(HttpAnswer(status, ""))
    assert type(error) is kind
    assert error.status == status
    assert error.retryable
    assert explain(error, None) is error


def test_validate_that_finds_nothing_wrong() -> None:
    fine = HttpAnswer(200, "success")
    full = explain(handshake_error(HttpAnswer(500, "connection closed by media")), fine)
    assert type(full) is errors.ServerRefusedError
    assert full.status == 500
    assert full.detail.startswith("connection closed by media")
    assert "full" in full.detail
    for status in (101, 200, 301, 401, 403, 429, 503):
        error = handshake_error(HttpAnswer(status, ""))
        assert explain(error, fine) is error
    closed = errors.SignalClosedError("closed")
    assert explain(closed, fine) is closed


def test_validate_that_is_not_there_or_elsewhere() -> None:
    error = handshake_error(HttpAnswer(500, "boom"))
    assert explain(error, HttpAnswer(404, "404 page not found")) is error
    assert explain(error, HttpAnswer(302, "")) is error


def test_validate_names_the_cause_of_a_broken_handshake() -> None:
    closed = errors.SignalClosedError("closed")
    assert type(explain(closed, HttpAnswer(401, "permissions denied"))) is errors.PermissionDeniedError
    assert type(explain(closed, HttpAnswer(503, ""))) is errors.ServerFullError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"invalid token: {TOKEN}, error: expired", "invalid token: <token>, error: expired"),
        ("other eyJhbGciOiJub25lIn0.eyJhIjoxfQ. token", "other <token> token"),
        ("invalid API key: APIabc123", "invalid API key"),
        ("  two\r\nlines\x1b[31m ", "two lines [31m"),
        ("<html><head><title>502 Bad\nGateway</title></head><body>x</body></html>", "502 Bad Gateway"),
        ("<!DOCTYPE html><p>hi", ""),
        ("größer", "größer"),
        ("", ""),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
def test_redact(text: str, words: str) -> None:
    assert redact(text, TOKEN) == words


@given(st.text(), st.text())
def test_no_token_survives(before: str, after: str) -> None:
    words = redact(before + TOKEN + after, TOKEN)
    assert TOKEN not in words
    assert len(words) <= 300
    assert words.isprintable()
