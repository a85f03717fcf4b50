from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import jwt
import pytest

from aiolivekit.testing import access_token

KEY = "key"
SECRET = "0123456789abcdef0123456789abcdef"


def claims(token: str, **options: Any) -> dict[str, object]:
    return jwt.decode(token, SECRET, algorithms=["HS256"], issuer=KEY, options=cast(Any, options))


def test_says_who_and_where_and_allows_to_take_part() -> None:
    found = claims(access_token(KEY, SECRET, "alice", room="kitchen"))
    assert (found["iss"], found["sub"]) == (KEY, "alice")
    assert found["video"] == {
        "roomJoin": True,
        "room": "kitchen",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
        "canUpdateOwnMetadata": True,
        "roomAdmin": False,
        "roomCreate": False,
        "roomList": False,
        "hidden": False,
    }
    assert not {"name", "metadata", "attributes", "kind"} & found.keys()


def test_carries_what_the_participant_is() -> None:
    token = access_token(
        KEY,
        SECRET,
        "bot",
        name="Bot",
        metadata="{}",
        attributes={"a": "b"},
        kind="agent",
        can_publish_sources=["camera"],
    )
    found = claims(token)
    assert found["name"] == "Bot"
    assert found["metadata"] == "{}"
    assert found["attributes"] == {"a": "b"}
    assert found["kind"] == "agent"
    video = found["video"]
    assert isinstance(video, dict)
    assert video["canPublishSources"] == ["camera"]


def test_is_valid_from_the_start_for_its_ttl() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    for ttl in (90, timedelta(seconds=90)):
        found = claims(access_token(KEY, SECRET, "a", valid_from=start, ttl=ttl), verify_exp=False)
        assert found["nbf"] == start.timestamp()
        assert found["exp"] == start.timestamp() + 90


def test_a_negative_ttl_has_expired() -> None:
    with pytest.raises(jwt.ImmatureSignatureError):
        claims(access_token(KEY, SECRET, "a", valid_from=datetime.now(UTC) + timedelta(hours=1)))
    with pytest.raises(jwt.ExpiredSignatureError):
        claims(access_token(KEY, SECRET, "a", ttl=-120), verify_nbf=False)


def test_is_signed_with_the_secret() -> None:
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(access_token(KEY, "another-secret" * 3, "a"), SECRET, algorithms=["HS256"])
