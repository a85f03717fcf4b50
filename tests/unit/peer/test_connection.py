"""Peer connections and data channels against each other: the contract with `wrtc`, private members included."""

from __future__ import annotations

import asyncio
import multiprocessing
import os

import pytest
import webrtc

from aiolivekit.core.flight import FlightRecorder
from aiolivekit.errors import ForkError, NegotiationError
from aiolivekit.peer import runtime
from aiolivekit.peer.channel import FastChannel
from aiolivekit.peer.connection import PeerConnection

from .pair import RecordingSink, negotiate, peer_pair


async def test_messages_both_ways_in_order_by_the_short_way() -> None:
    async with peer_pair() as (a, a_sink, b, b_sink):
        ours = a.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=1000)
        await negotiate(a, b)
        async with asyncio.timeout(10):
            assert await a_sink.channel_states.get() == ("_reliable", "open")
            theirs = await b_sink.channels.get()
            assert isinstance(theirs._channel, FastChannel)
            sent = [b"%d" % number for number in range(500)]
            for message in sent:
                ours.send(message)
            assert [await b_sink.messages.get() for _ in sent] == [("_reliable", message) for message in sent]
            for message in sent:
                theirs.send(message)
            assert [await a_sink.messages.get() for _ in sent] == [("_reliable", message) for message in sent]
        assert ours.is_open
        assert ours.stream_id is not None


async def test_low_event_comes_when_the_buffer_has_emptied() -> None:
    async with peer_pair() as (a, a_sink, b, _b_sink):
        channel = a.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=100_000)
        assert channel.low_threshold == 100_000
        await negotiate(a, b)
        async with asyncio.timeout(10):
            await a_sink.channel_states.get()
            while channel.buffered_amount <= 200_000:
                channel.send(bytes(15_000))
            assert await a_sink.low.get() == "_reliable"
        assert channel.buffered_amount <= 100_000


async def test_text_is_counted_and_dropped() -> None:
    async with peer_pair() as (a, a_sink, b, b_sink):
        ours = a.create_channel("_lossy", ordered=False, max_retransmits=0, low_threshold=0)
        await negotiate(a, b)
        async with asyncio.timeout(10):
            await a_sink.channel_states.get()
            theirs = await b_sink.channels.get()
            ours._channel.send("text")
            ours.send(b"binary")
            assert await b_sink.messages.get() == ("_lossy", b"binary")
        assert theirs.text_dropped == 1


async def test_closing_says_so_to_the_other_side() -> None:
    async with peer_pair() as (a, a_sink, b, b_sink):
        ours = a.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=0)
        await negotiate(a, b)
        async with asyncio.timeout(10):
            await a_sink.channel_states.get()
            theirs = await b_sink.channels.get()
            # Once something has come across, the channel is settled on both sides.
            theirs.send(b"hello")
            await a_sink.messages.get()
            theirs._channel.close()
            states = [await a_sink.channel_states.get() for _ in range(2)]
        assert states == [("_reliable", "closing"), ("_reliable", "closed")]
        assert not ours.is_open


async def test_oversize_message_raises_and_the_channel_survives() -> None:
    async with peer_pair() as (a, a_sink, b, b_sink):
        ours = a.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=0)
        await negotiate(a, b)
        async with asyncio.timeout(10):
            await a_sink.channel_states.get()
            with pytest.raises(TypeError):
                ours.send(bytes(10_000_000))
            ours.send(b"small")
            assert await b_sink.messages.get() == ("_reliable", b"small")


async def test_early_candidates_are_held_and_bad_ones_counted() -> None:
    sink = RecordingSink()
    peer = PeerConnection("subscriber", sink)
    try:
        await peer.add_remote_candidate("not json")
        await peer.add_remote_candidate('["a list"]')
        await peer.add_remote_candidate(
            '{"candidate": "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}'
        )
        assert peer.bad_candidates == 2
        assert len(peer._held_candidates) == 1
    finally:
        peer.close()


async def test_nonsense_from_the_server_is_a_negotiation_error() -> None:
    peer = PeerConnection("publisher", RecordingSink())
    try:
        with pytest.raises(NegotiationError, match="publisher"):
            await peer.set_answer("v=0\r\n")
        with pytest.raises(NegotiationError):
            await peer.set_offer("garbage")
    finally:
        peer.close()


async def test_the_error_quotes_no_line_of_a_description() -> None:
    """libwebrtc does, and any of them may hold an address or a password."""
    peer, other = PeerConnection("publisher", RecordingSink()), PeerConnection("server", RecordingSink())
    try:
        other.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=0)
        offer = await other.create_offer()
        with pytest.raises(NegotiationError, match="apply the server's offer: Failed to parse") as caught:
            await peer.set_offer(offer + "a=candidate:1 1 udp x 192.168.0.7 1 typ host\r\n")
        assert "192.168" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    finally:
        peer.close()
        other.close()


async def test_changes_of_state_are_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiolivekit.peer.watch._MOMENT", 0.0)
    recorder = FlightRecorder()
    async with peer_pair(recorder.tap(1)) as (a, a_sink, b, _):
        a.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=0)
        await negotiate(a, b)
        await a_sink.wait_connected()
        async with asyncio.timeout(10):
            while not any(record.what == "path" for record in recorder.records()):
                await asyncio.sleep(0)
        offer = await a.create_offer(ice_restart=True)
        await a.set_local_offer(offer)
        await b.set_offer(offer)
        async with asyncio.timeout(10):
            while not any(record.what == "gathering" for record in recorder.records()):
                await asyncio.sleep(0.01)
    found = [(record.what, record.fields["state"]) for record in recorder.records() if record.what != "path"]
    assert [state for what, state in found if what == "peer"] == ["connecting", "connected", "closed"]
    assert ("dtls", "connected") in found
    assert ("gathering", "gathering") in found
    [path, *_] = [record for record in recorder.records() if record.what == "path"]
    # Which of our addresses is seen from there first is chance.
    assert path.fields.keys() == {"peer", "candidate", "remote_candidate", "transport"}
    assert path.fields["transport"] == "udp"
    assert recorder.header.withheld == 0


async def test_a_connection_that_never_stands_is_not_listened_to() -> None:
    recorder = FlightRecorder()
    peer = PeerConnection("publisher", RecordingSink(), recorder.tap(1))
    peer.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=0)
    await peer.set_local_offer(await peer.create_offer())
    peer.close()
    assert [(record.what, record.fields["state"], record.fields["ice"]) for record in recorder.records()] == [
        ("peer", "closed", "new")
    ]


async def test_bad_ice_servers_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    peer = PeerConnection("publisher", RecordingSink())
    try:
        peer.configure([(["stun:127.0.0.1:3478"], None, None), (["nonsense"], None, None), (["turn:h"], None, None)])
        assert len(peer._pc.get_configuration().ice_servers) == 1
        assert "2 ICE servers" in caplog.text
        assert "nonsense" not in caplog.text
    finally:
        peer.close()


async def test_stats_and_close_twice() -> None:
    async with peer_pair() as (a, a_sink, b, _):
        a.create_channel("_reliable", ordered=True, max_retransmits=None, low_threshold=0)
        await negotiate(a, b)
        await a_sink.wait_connected()
        stats = await a.get_stats()
        assert {"peer-connection", "transport", "data-channel"} <= {each["type"] for each in stats}
        a.close()
        a.close()
        assert a.state == "closed"


def test_the_private_members_we_use_exist() -> None:
    """A new `wrtc` that moves one of these must not be taken unseen."""
    assert callable(webrtc.RTCDataChannel._deliver)
    assert callable(webrtc.RTCDataChannel._wrap)
    assert callable(webrtc.RTCDataChannel._changes_activity)
    assert callable(webrtc.RTCPeerConnection._data_channel_event)
    assert webrtc.RTCPeerConnection._EVENT_CREATORS["datachannel"] == "_data_channel_event"


def _in_child(queue) -> None:  # type: ignore[no-untyped-def]
    try:
        runtime.check()
    except ForkError as error:
        queue.put(str(error))
    else:
        queue.put("no error")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_gets_an_error_and_a_spawned_one_none() -> None:
    runtime.check()
    for method, expected in (("fork", "forked after"), ("spawn", "no error")):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=_in_child, args=(queue,))
        process.start()
        try:
            assert expected in queue.get(timeout=30)
        finally:
            process.join(10)
