from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import rtc

from aiolivekit.core.regions import RegionRoute, is_cloud_host, max_age, nearest_first, parse_regions

NAMED, NEAR, FAR = "wss://named", "wss://near", "wss://far"


@pytest.mark.parametrize(
    ("host", "cloud"),
    [
        ("my.livekit.cloud", True),
        ("My.Region.LiveKit.Cloud.", True),
        ("my.livekit.run", True),
        ("livekit.cloud", False),
        ("livekit.cloud.example", False),
        ("mylivekit.cloud", False),
        ("localhost", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
def test_cloud_hosts(host: str, cloud: bool) -> None:
    assert is_cloud_host(host) is cloud


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("max-age=300", 300.0),
        ("public, Max-Age = 7", 7.0),
        ("no-store", None),
        ("max-age=", None),
        ("max-age=-1", None),
        ("max-age=x, max-age=2", 2.0),
        ("max-age=0", 0.0),
        ("max-age=99999999999999999999", 86_400.0),
        ("", None),
    ],
)
def test_max_age(header: str, seconds: float | None) -> None:
    assert max_age(header) == seconds


def test_a_list_is_read_nearest_first() -> None:
    body = b"""{"regions": [
        {"region": "b", "url": "wss://b", "distance": "2000"}, {"region": "a", "url": "wss://a", "distance": 10},
        {"region": "c", "url": "wss://c", "distance": "2000"}, {"url": "wss://a"}, {"url": ""}], "more": 1}"""
    # What has no distance is as near as can be; a server that gives none is taken at its order.
    assert parse_regions(body) == ("wss://a", "wss://b", "wss://c")
    assert parse_regions(b'{"regions": []}') == ()
    told = rtc.RegionSettings(regions=[rtc.RegionInfo(url="y", distance=9), rtc.RegionInfo(url="x", distance=1)])
    assert nearest_first(told.regions) == ("x", "y")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"regions": {}}',
        b'{"regions": [1]}',
        b'{"regions": [{"url": 1}]}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=".*"):
        parse_regions(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_none(body: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(parse_regions(body), tuple)


def route(has_list: bool = True) -> RegionRoute:
    return RegionRoute(NAMED, has_list)


def test_the_named_server_comes_first_and_a_list_is_wanted_only_after_a_failure() -> None:
    here = route()
    assert not here.wants_list(0.0)
    assert here.next() == NAMED
    here.failed(NAMED)
    assert here.wants_list(0.0)
    assert not here.more
    here.learned((NEAR, FAR), 5.0, 0.0)
    assert not here.wants_list(4.9)
    assert here.wants_list(5.0)
    assert here.more
    assert here.next() == NEAR
    here.failed(NEAR)
    assert here.next() == FAR
    here.failed(FAR)
    assert not here.more
    # Everything has failed: from the beginning.
    assert here.next() == NAMED
    assert here.more


def test_a_server_without_a_list_is_not_asked() -> None:
    here = route(has_list=False)
    here.failed(NAMED)
    assert not here.wants_list(0.0)
    assert not here.more
    assert here.next() == NAMED


def test_we_come_back_to_where_we_were() -> None:
    here = route()
    here.failed(NAMED)
    here.learned((NEAR, FAR), 5.0, 0.0)
    here.joined(NEAR)
    assert here.next() == NEAR
    here.failed(NEAR)
    assert here.next() == FAR
    here.failed(FAR)
    assert here.next() == NAMED


def test_where_we_are_sent_comes_first_whatever_the_host() -> None:
    here = route(has_list=False)
    here.sent_to((NEAR, FAR))
    assert here.next() == NEAR
    here.failed(NEAR)
    assert here.next() == FAR
    here.failed(FAR)
    assert here.next() == NAMED
    here.failed(NAMED)
    # Sent again: what failed before may be tried once more.
    here.sent_to((FAR,))
    assert here.next() == FAR
    here.joined(FAR)
    assert here.next() == FAR
    here.failed(FAR)
    assert here.next() == NAMED


def test_being_sent_nowhere_changes_nothing() -> None:
    here = route(has_list=False)
    here.failed(NAMED)
    here.sent_to(())
    assert not here.more


@given(st.lists(st.sampled_from(["fail", "join", "send", "learn", "send none"]), max_size=60))
def test_there_is_always_a_place_to_try(steps: list[str]) -> None:
    here = route()
    for step in steps:
        place = here.next()
        assert place in (NAMED, NEAR, FAR)
        match step:
            case "fail":
                here.failed(place)
            case "join":
                here.joined(place)
            case "send":
                here.sent_to((FAR, NEAR))
            case "learn":
                here.learned((NEAR,), 5.0, 0.0)
            case _:
                here.sent_to(())
