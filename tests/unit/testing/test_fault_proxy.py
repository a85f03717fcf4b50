"""The fault proxy's parts that need no network: which event a fault fires on, and what is rewritten."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json

import pytest
from livekit.protocol import rtc
from yarl import URL

from aiolivekit.testing.fault_proxy.faults import (
    BlackoutFault,
    FaultBook,
    FiredFault,
    HoldFault,
    MediaFault,
    ProxyFault,
)
from aiolivekit.testing.fault_proxy.rewriting import (
    Candidate,
    asks_for_resume,
    candidates_of,
    identity_of,
    with_relays,
    without_candidates,
)

UDP = "candidate:1 1 udp 2130706431 10.0.0.1 7882 typ host generation 0"
TCP = "candidate:2 1 tcp 1671430143 10.0.0.1 7881 typ host tcptype passive"


def sdp(*lines: str) -> str:
    return "\r\n".join(["v=0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", *lines, ""])


# -- which event --


def test_a_fault_fires_on_the_events_it_was_told_to() -> None:
    book = FaultBook()
    fault = book.install(ProxyFault("drop", book, identity="alice", message="offer", sender="server", nth=2, count=2))
    events = [
        ("bob", "offer", "server", False),
        ("alice", "answer", "server", False),
        ("alice", "offer", "client", False),
        ("alice", "offer", "server", False),
        ("alice", "offer", "server", True),
        ("alice", "offer", "server", True),
        ("alice", "offer", "server", False),
    ]
    for identity, message, sender, fires in events:
        found = book.first(ProxyFault, identity, message, sender)
        assert (found is fault) is fires
        if found is not None:
            found.fire(identity, message)
    assert (fault.fired, fault.lifted) == (2, True)
    assert [(each.fault, each.identity, each.detail) for each in book.log] == [("drop", "alice", "offer")] * 2
    assert isinstance(book.log[0], FiredFault)


def test_the_first_of_two_takes_the_event() -> None:
    book = FaultBook()
    first = book.install(ProxyFault("drop", book, count=1))
    second = book.install(ProxyFault("drop", book, count=1))
    for expected in (first, second):
        found = book.first(ProxyFault, "alice", "offer", "server")
        assert found is expected
        found.fire("alice", "offer")
    assert book.first(ProxyFault, "alice", "offer", "server") is None


@pytest.mark.parametrize(("nth", "count"), [(0, 1), (1, -1)])
def test_counts_that_make_no_sense_are_refused(nth: int, count: int) -> None:
    with pytest.raises(ValueError):
        ProxyFault("drop", FaultBook(), nth=nth, count=count)


def test_held_messages_go_on_in_order_and_once() -> None:
    book, sent = FaultBook(), []
    hold = book.install(HoldFault("hold", book, identity=None, message="", sender="server"))
    for number in range(3):
        hold.keep(lambda number=number: sent.append(number))
    assert hold.held == 3
    book.clear()
    hold.release()
    assert sent == [0, 1, 2]
    assert hold.lifted


async def test_who_waits_for_a_fault_is_told() -> None:
    book = FaultBook()
    fault = book.install(ProxyFault("watch", book))
    waiting = asyncio.ensure_future(fault.wait_fired(2, timeout=5.0))
    await asyncio.sleep(0)
    fault.fire("alice", "join")
    await asyncio.sleep(0)
    assert not waiting.done()
    fault.fire("alice", "join")
    await waiting
    with pytest.raises(TimeoutError, match="fired 2 times"):
        await fault.wait_fired(3, timeout=0.01)


async def test_packets_are_lost_by_number_and_by_whose_they_are() -> None:
    book = FaultBook()
    loss = book.install(MediaFault("lose_media", book, identity="alice", target="publisher", direction="up", every=3))
    assert [book.packet_delay("alice", "publisher", "up") for _ in range(6)] == [0.0, 0.0, None, 0.0, 0.0, None]
    for identity, target, direction in (
        ("bob", "publisher", "up"),
        ("alice", "subscriber", "up"),
        ("alice", "publisher", "down"),
    ):
        assert all(book.packet_delay(identity, target, direction) == 0.0 for _ in range(6))
    assert (loss.seen, loss.lost, loss.fired) == (6, 2, 1)
    slow = [
        book.install(MediaFault("delay_media", book, identity=None, target=None, direction="both", seconds=seconds))
        for seconds in (0.25, 0.5)
    ]
    assert book.packet_delay("bob", "subscriber", "down") == 0.75
    blackout = book.install(BlackoutFault("blackout", book, identity="bob"))
    assert book.packet_delay("bob", "subscriber", "down") is None
    assert book.outage("alice") is None
    waiting = asyncio.ensure_future(book.outage("bob"))  # type: ignore[arg-type]
    book.clear()
    await waiting
    assert blackout.lifted
    assert all(each.lifted for each in slow)
    assert book.packet_delay("bob", "subscriber", "down") == 0.0


# -- what is rewritten --


def relay(candidate: Candidate) -> tuple[str, int]:
    return "127.0.0.1", {"udp": 1000, "tcp": 2000}[candidate.transport] + (candidate.target == "subscriber")


@pytest.mark.parametrize(("field", "target", "port"), [("answer", "publisher", 1000), ("offer", "subscriber", 1001)])
def test_candidates_in_descriptions_lead_to_relays(field: str, target: str, port: int) -> None:
    response = rtc.SignalResponse(**{field: rtc.SessionDescription(sdp=sdp(f"a={UDP}", f"a={TCP}"))})
    assert [each.transport for each in candidates_of(response)] == ["udp", "tcp"]
    assert {each.target for each in candidates_of(response)} == {target}
    with_relays(response, relay)
    there = "10.0.0.1"
    assert getattr(response, field).sdp == sdp(
        f"a={UDP}".replace(f"{there} 7882", f"127.0.0.1 {port}"),
        f"a={TCP}".replace(f"{there} 7881", f"127.0.0.1 {port + 1000}"),
    )


def test_trickled_candidates_lead_to_relays() -> None:
    trickle = rtc.TrickleRequest(
        candidateInit=json.dumps({"candidate": UDP, "sdpMid": "0"}), target=rtc.SignalTarget.SUBSCRIBER, final=True
    )
    response = rtc.SignalResponse(trickle=trickle)
    (found,) = candidates_of(response)
    assert found == Candidate("subscriber", "udp", "10.0.0.1", 7882)
    with_relays(response, relay)
    init = json.loads(response.trickle.candidateInit)
    assert init == {"candidate": UDP.replace("10.0.0.1 7882", "127.0.0.1 1001"), "sdpMid": "0"}
    assert response.trickle.final


@pytest.mark.parametrize(
    "init", ["", "[]", "{", '{"candidate": 5}', '{"candidate": ""}', '{"candidate": "candidate:x"}']
)
def test_what_is_no_candidate_is_left_alone(init: str) -> None:
    response = rtc.SignalResponse(trickle=rtc.TrickleRequest(candidateInit=init))
    before = response.SerializeToString()
    assert list(candidates_of(response)) == []
    with_relays(response, relay)
    assert rtc.SignalResponse.FromString(before).trickle.candidateInit in (init, response.trickle.candidateInit)


def test_the_clients_candidates_are_left_out() -> None:
    for field in ("offer", "answer"):
        request = rtc.SignalRequest(**{field: rtc.SessionDescription(sdp=sdp(f"a={UDP}", "a=mid:0"))})
        assert without_candidates(request)
        assert getattr(request, field).sdp == sdp("a=mid:0")
    sync = rtc.SignalRequest(sync_state=rtc.SyncState(answer=rtc.SessionDescription(sdp=sdp(f"a={UDP}"))))
    assert without_candidates(sync)
    assert sync.sync_state.answer.sdp == sdp()
    trickle = rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit=json.dumps({"candidate": UDP})))
    assert not without_candidates(trickle)
    last = rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit='{"candidate": ""}', final=True))
    assert without_candidates(last)


def wrapped(request: rtc.JoinRequest, *, packed: bool) -> str:
    kind = rtc.WrappedJoinRequest.Compression
    data = request.SerializeToString()
    message = rtc.WrappedJoinRequest(
        compression=kind.GZIP if packed else kind.NONE, join_request=gzip.compress(data) if packed else data
    )
    return base64.urlsafe_b64encode(message.SerializeToString()).decode()


@pytest.mark.parametrize("packed", [False, True])
def test_resumes_are_known_from_joins(packed: bool) -> None:
    url = URL("ws://server/rtc/v1")
    for reconnect in (False, True):
        request = rtc.JoinRequest(reconnect=reconnect, participant_sid="PA_1")
        assert asks_for_resume(url.with_query(join_request=wrapped(request, packed=packed))) is reconnect
    assert asks_for_resume(URL("ws://server/rtc?reconnect=1&sid=PA_1"))
    assert not asks_for_resume(URL("ws://server/rtc?join_request=%25%25"))
    assert not asks_for_resume(URL("ws://server/rtc?access_token=x"))


def test_who_it_is_comes_from_the_token() -> None:
    body = base64.urlsafe_b64encode(json.dumps({"sub": "alice"}).encode()).decode().rstrip("=")
    token = f"head.{body}.signature"
    assert identity_of(f"Bearer {token}", {}) == identity_of("", {"access_token": token}) == "alice"
    for wrong in ("", "Bearer x", "Bearer a.b.c", "Bearer a.W10.c"):
        assert identity_of(wrong, {}) == ""
