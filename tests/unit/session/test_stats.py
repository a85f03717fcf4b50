from __future__ import annotations

import time
from typing import Any

import pytest

from aiolivekit.session.stats import SessionStats, sign_of_life, surely_arrived_before


def pair(silence: float) -> dict[str, Any]:
    now = 1_795_421_682_714.0
    return {"type": "candidate-pair", "timestamp": now, "lastPacketReceivedTimestamp": now - silence * 1000}


UNUSED = {"type": "candidate-pair", "timestamp": 5.0}


@pytest.mark.parametrize(
    ("publisher", "subscriber", "ago"),
    [
        ([pair(0.2)], [], 0.7),
        ([UNUSED, pair(3), pair(7), {"type": "transport"}], [], 3.5),
        # What we are sent says nothing about the connection on which we send.
        ([pair(3)], [pair(0)], 3.5),
        ([pair(-1)], [], 0.5),
        ([UNUSED], [], 30.5),
        ([], [], 30.5),
    ],
)
def test_when_a_packet_must_have_been_sent_to_have_arrived(
    publisher: list[dict[str, Any]], subscriber: list[dict[str, Any]], ago: float
) -> None:
    earliest = time.monotonic() - ago
    assert (
        earliest - 0.001 <= surely_arrived_before(SessionStats(publisher, subscriber)) <= time.monotonic() - ago + 0.001
    )


def test_signs_of_life_grow() -> None:
    checked = {"type": "candidate-pair", "responsesReceived": 2}
    signs = [
        sign_of_life([]),
        sign_of_life([checked]),
        sign_of_life([checked, {**checked, "responsesReceived": 1}, {"type": "transport", "responsesReceived": 9}]),
        sign_of_life([pair(3)]),
        sign_of_life([{**pair(3), "responsesReceived": 1}, UNUSED]),
        sign_of_life([pair(2)]),
    ]
    assert signs == sorted(set(signs))
