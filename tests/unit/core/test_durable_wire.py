"""Durable messages on the wire: ids and control packets, as in docs/durable.md."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiolivekit.core.durable_wire import (
    Ack,
    Gone,
    MessageId,
    Probe,
    Skip,
    Sync,
    decode_control,
    format_id,
    key_of,
    parse_id,
)

# -- the wire ---------------------------------------------------------------------------------------


def test_an_id_says_to_each_receiver_what_came_before_for_it() -> None:
    text = format_id("k3", 9, 5, {"ann": 8, "bob": 7})
    assert text == f"aio1.k3.9.5.{key_of('ann')}=8,{key_of('bob')}=7"
    assert parse_id(text, key_of("ann")) == MessageId("k3", 9, 8)
    assert parse_id(text, key_of("bob")) == MessageId("k3", 9, 7)
    assert parse_id(text, key_of("cid")) == MessageId("k3", 9, 5)
    assert format_id("k3", 1, 0, {}) == "aio1.k3.1.0"
    assert parse_id("aio1.k3.1.0", key_of("ann")) == MessageId("k3", 1, 0)


def test_the_key_is_as_specified() -> None:
    assert key_of("alice") == "oWX4xa4O"
    assert len(key_of("ä" * 300)) == 8


def test_when_too_many_differ_everybody_is_given_the_highest() -> None:
    text = format_id("k3", 99, 5, {f"p{number}": 50 + number for number in range(17)})
    assert text == "aio1.k3.99.66"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aio1",
        "aio1.",
        "aio1.k3.1",
        "aio1.k3.1.1",
        "aio1.k3.1.2",
        "aio1.k3.x.0",
        "aio1.k3.-1.0",
        "aio1.k3.+1.0",
        "aio1.k3.1_0.0",
        "aio1.k3.١.0",
        "aio1.k3.1.0.a.b",
        "aio1..1.0",
        "aio1.k-3.1.0",
        "aio1." + "k" * 17 + ".1.0",
        "aio1.k3.1" + "0" * 15 + ".0",
        "aio2.k3.1.0",
        "aio1.k3.9.5." + ",".join(["a=1"] * 17),
        f"aio1.k3.9.5.{key_of('me')}=9",
        f"aio1.k3.9.5.{key_of('me')}=",
        f"aio1.k3.9.5.{key_of('me')}",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert parse_id(text, key_of("me")) is None


CONTROLS = [
    (Ack("k3", 5), b"1 ack k3 5 0"),
    (Ack("k3", 0, ask=True), b"1 ack k3 0 1"),
    (Probe("k3", 7), b"1 probe k3 7"),
    (Sync("k3", 5, 0), b"1 sync k3 5 0"),
    (Sync("k3", 5, 9), b"1 sync k3 5 9"),
    (Skip("k3", 5, 9, 2), b"1 skip k3 5 9 2"),
    (Gone("k3"), b"1 gone k3"),
]


@pytest.mark.parametrize(("control", "payload"), CONTROLS)
def test_control_packets(control: Any, payload: bytes) -> None:
    assert control.encode() == payload
    assert decode_control(payload) == control


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"1",
        b"1 ack",
        b"2 ack k3 5 0",
        b"1 ack k3 5",
        b"1 ack k3 5 2",
        b"1 ack k3 5 0 0",
        b"1  ack k3 5 0",
        b"1 ack k3 five 0",
        b"1 ack k3 -5 0",
        b"1 ack k.3 5 0",
        b"1 probe k3 0",
        b"1 sync k3 5 5",
        b"1 skip k3 5 5 0",
        b"1 gone k3 1",
        b"1 dance k3",
        b"\xff\xfe",
        b"1 gone " + b"k" * 200,
    ],
)
def test_what_is_no_control_packet(payload: bytes) -> None:
    assert decode_control(payload) is None


@given(st.binary(max_size=140) | st.text("1 acksynprobegk05", max_size=40).map(str.encode))
def test_no_payload_does_harm(payload: bytes) -> None:
    control = decode_control(payload)
    assert control is None or decode_control(control.encode()) == control


@given(st.text("aio1.k=,05", max_size=40))
def test_no_id_does_harm(text: str) -> None:
    found = parse_id(text, "k")
    assert found is None or 0 <= found.previous < found.number
