"""Streams that break off or outlive a connection, keys and words, and who speaks an older version: ours with others.

Whole streams of all kinds and sizes are tried in `test_data.py`, what takes long in `heavy.py`.
"""

from __future__ import annotations

import asyncio

import pytest

from aiolivekit.core import rpc_wire, stream_split
from aiolivekit.signalling import join_request

from .capabilities import ClientKind, does
from .client import Client, RpcFailedError, Scenario, StreamRefusedError
from .conftest import Stage
from .events import Details
from .sdk_client import SdkClient
from .test_data import NOISE, WIDTHS

pytestmark = pytest.mark.peer

TOPIC = "notes"
REQUEST_PAYLOAD_TOO_LARGE = 1402
RESPONSE_PAYLOAD_TOO_LARGE = 1504
V1_LIMIT = 15_360


@pytest.fixture(params=["official", "browser"])
def other(request: pytest.FixtureRequest) -> ClientKind:
    """Who is on the other side of ours."""
    kind: ClientKind = request.param
    return kind


async def two(stage: Stage, other: ClientKind, *, both_modes: bool = False, **claims: str) -> tuple[SdkClient, Client]:
    """Ours and another one, who know of each other and read the streams of the topic.

    Args:
        stage: Where.
        other: Who.
        both_modes: Whether peer connections matter: what travels in their channels is the same in both modes.
        **claims: Of our token.
    """
    if not (stage.single or both_modes):
        pytest.skip("tried with one peer connection")
    ours = await stage.join("ours", "ours", **claims)
    theirs = await stage.join(other, "theirs")
    await stage.acquaint(ours, theirs)
    for client in (ours, theirs):
        await client.receive_streams(TOPIC)
    assert isinstance(ours, SdkClient)
    return ours, theirs


async def end_of(client: Client, stream_id: str) -> tuple[str, Details]:
    """Wait until a stream has ended for its receiver; return how."""
    names = ("text_received", "bytes_received", "stream_failed")
    found: list[tuple[str, Details]] = []

    def ended() -> bool:
        found[:] = [(name, each) for name in names for each in client.events.of(name, id=stream_id)]
        return bool(found)

    await client.events.until(ended, lambda: f"the end of the stream {stream_id}")
    return found[0]


async def test_a_stream_that_is_given_up(stage: Stage, other: ClientKind) -> None:
    ours, theirs = await two(stage, other)
    # The writers of livekit-client cannot be given up; those of the official SDK are tried in `tests/e2e`.
    stream = await ours.open_stream(TOPIC, to=["theirs"])
    await ours.write_stream(stream, "so far")
    await theirs.events.wait("stream_arriving", id=stream)
    await ours.writers[stream].aclose(reason="so bad")
    how, details = await end_of(theirs, stream)
    assert (how, details["text"]) == ("stream_failed", "so far")
    assert "so bad" in details["message"]
    # And a long one whose call is cancelled; what comes behind it is not held up.
    sending = asyncio.create_task(ours.send_bytes(NOISE * 200, topic=TOPIC, name="long", to=["theirs"]))
    begun = await theirs.events.wait("stream_arriving", kind="bytes")
    sending.cancel()
    await ours.send_text("behind", topic=TOPIC)
    await theirs.events.wait("text_received", text="behind")
    how, details = await end_of(theirs, begun["id"])
    assert how == "stream_failed"
    assert details["size"] < len(NOISE) * 200


async def test_a_sender_that_leaves(stage: Stage, other: ClientKind) -> None:
    ours, theirs = await two(stage, other)
    carol = await stage.join("ours", "carol")
    # Of somebody who leaves before it was announced the server says no more than that.
    await carol.publish_tone(300)
    await theirs.events.wait("track_published", identity="carol")
    streams = {}
    for sender, receiver in ((carol, theirs), (theirs, ours)):
        streams[sender.identity] = stream = await sender.open_stream(TOPIC)
        await sender.write_stream(stream, f"from {sender.identity}")
        await receiver.events.wait("stream_arriving", id=stream, identity=sender.identity)
    for sender, receiver in ((carol, theirs), (theirs, ours)):
        await sender.leave()
        how, details = await end_of(receiver, streams[sender.identity])
        assert (how, details["text"]) == ("stream_failed", f"from {sender.identity}")


async def write_through(sender: Client, receiver: Client, who: Client, scenario: Scenario) -> tuple[str, str]:
    """Write a text while somebody reconnects; return the stream and what it took, all but what was refused."""
    stream = await sender.open_stream(TOPIC, to=[receiver.identity])
    mark, whole = who.events.mark, ""
    try:
        for number in range(3000):
            piece = f"{number} "
            await sender.write_stream(stream, piece)
            whole += piece
            if number == 20:
                await receiver.events.wait("stream_arriving", id=stream)
                await who.simulate(scenario)
            if number > 60 and who.events.of("reconnected", since=mark):
                break
            await asyncio.sleep(0.01)
        await sender.end_stream(stream)
    except StreamRefusedError:
        whole += "refused"
    await who.events.wait("reconnected", since=mark)
    return stream, whole


async def test_through_a_resume(stage: Stage, other: ClientKind) -> None:
    ours, theirs = await two(stage, other, both_modes=True)
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        for who in (sender, receiver):
            stream, whole = await write_through(sender, receiver, who, "resume")
            how, details = await end_of(receiver, stream)
            assert (how, details["text"]) == ("text_received", whole)


async def test_through_a_restart_of_the_sender(stage: Stage, other: ClientKind) -> None:
    ours, theirs = await two(stage, other, both_modes=True)
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        mark = receiver.events.mark
        stream, whole = await write_through(sender, receiver, sender, "restart")
        # There again with what it publishes.
        await receiver.events.wait("track_published", identity=sender.identity, since=mark)
        if does(sender.kind, "streams across its restart"):  # type: ignore[arg-type]
            # The next stream arrives whatever became of that one.
            await sender.send_text("behind", topic=TOPIC, to=[receiver.identity])
            await receiver.events.wait("text_received", text="behind", since=mark)
            # What was on its way may be lost, its end too (then it ends on time, `DataStreamOptions.idle_timeout`).
            # But nobody is left in the belief that something is all that is not.
            for details in receiver.events.of("text_received", id=stream):
                assert details["text"] == whole
        for name in ("text_received", "stream_failed"):
            for details in receiver.events.of(name, id=stream):
                assert whole.startswith(details["text"])


async def test_through_a_restart_of_the_receiver(stage: Stage, other: ClientKind) -> None:
    ours, theirs = await two(stage, other, both_modes=True)
    # In this order: livekit-client sends no stream for half a minute after it has joined anew.
    for sender, receiver in ((theirs, ours), (ours, theirs)):
        mark = sender.events.mark
        stream, whole = await write_through(sender, receiver, receiver, "restart")
        await sender.events.wait("track_published", identity=receiver.identity, since=mark)
        if receiver is ours:
            # What was sent while it was out of the room is missing, and it knows that something is.
            how, details = await end_of(ours, stream)
            assert whole.startswith(details["text"])
            assert (how == "text_received") == (details["text"] == whole)
        await sender.send_text(f"behind, by {sender.identity}", topic=TOPIC, to=[receiver.identity])
        await receiver.events.wait("text_received", text=f"behind, by {sender.identity}")


async def test_keys_and_words(stage: Stage, other: ClientKind) -> None:
    if other == "official":
        pytest.skip("tried in tests/e2e/test_words_and_keys.py")
    ours, theirs = await two(stage, other, kind="agent")
    keys = [(code, digit) for code, digit in enumerate("0123456789*#ABCD")]
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        for code, digit in keys:
            await sender.press_key(code, digit)
        await receiver.events.wait("sip_dtmf_received", digit="D")
        heard = receiver.events.of("sip_dtmf_received")
        assert [(each["code"], each["digit"]) for each in heard] == keys
        assert {each["identity"] for each in heard} == {sender.identity}
    # Only agents publish transcriptions, and livekit-client publishes none.
    rtc = ours._rtc
    sid = (await theirs.me()).tracks[0]
    said = [["1", "grüß", "", False], ["1", "grüß dich 🎉", "de", True]]
    for number, text, language, final in said:
        segment = rtc.TranscriptionSegment(
            id=number, text=text, start_time=0, end_time=5, language=language, final=final
        )
        await ours.room.local_participant.publish_transcription(
            rtc.Transcription(participant_identity="theirs", track_sid=sid, segments=[segment])
        )
    await theirs.events.wait("transcription_received", count=2)
    heard = theirs.events.of("transcription_received")
    assert [each["segments"] for each in heard] == [[each] for each in said]
    assert {(each["identity"], each["sid"]) for each in heard} == {("theirs", sid)}


async def test_calls_both_ways(stage: Stage, other: ClientKind) -> None:
    if other == "official":
        pytest.skip("tried in test_data.py")
    ours, theirs = await two(stage, other)
    for client in (ours, theirs):
        await client.serve_rpc("say")
    for caller, callee in ((ours, theirs), (theirs, ours)):
        who = caller.identity
        for payload in ("", "grüße 🎉", "ä" * 20_000):
            assert await caller.perform_rpc(callee.identity, "say", payload) == f"{who} said {payload}"
        with pytest.raises(RpcFailedError) as raised:
            await caller.perform_rpc(callee.identity, "say", "fail")
        assert (raised.value.code, raised.value.message, raised.value.data) == (1234, "as asked", "details")
        answers = await asyncio.gather(*(caller.perform_rpc(callee.identity, "say", str(n)) for n in range(100)))
        assert answers == [f"{who} said {n}" for n in range(100)]


async def test_with_who_understands_version_1_alone(
    stage: Stage, other: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What we say of ourselves decides how they speak to us; and to us nobody understands more.
    monkeypatch.setattr(join_request, "CLIENT_PROTOCOL", 0)
    monkeypatch.setattr(rpc_wire, "speaks_v2", lambda _: False)
    monkeypatch.setattr(stream_split, "_DATA_STREAM_V2", 99)
    ours, theirs = await two(stage, other)
    for client in (ours, theirs):
        await client.serve_rpc("say")
    for caller, callee in ((ours, theirs), (theirs, ours)):
        who = caller.identity
        largest = "ä" * ((V1_LIMIT - 20) // 2)
        for payload in ("", "grüße 🎉", largest):
            assert await caller.perform_rpc(callee.identity, "say", payload) == f"{who} said {payload}"
        with pytest.raises(RpcFailedError) as raised:
            await caller.perform_rpc(callee.identity, "say", "x" * (V1_LIMIT + 1))
        assert raised.value.code == REQUEST_PAYLOAD_TOO_LARGE
        with pytest.raises(RpcFailedError) as raised:
            await caller.perform_rpc(callee.identity, "say", "x" * V1_LIMIT)
        assert raised.value.code == RESPONSE_PAYLOAD_TOO_LARGE
        for number, text in enumerate(("", WIDTHS * 4000)):
            attributes = {"by": who, "number": str(number)}
            await caller.send_text(text, topic=TOPIC, attributes=attributes)
            got = await callee.events.wait("text_received", attributes=attributes)
            assert (got["identity"], got["text"]) == (who, text)
        for number, blob in enumerate((b"", NOISE)):
            await caller.send_bytes(blob, topic=TOPIC, name=f"{number}.bin", to=[callee.identity])
            got = await callee.events.wait("bytes_received", identity=who, stream_name=f"{number}.bin")
            assert got["data"] == blob
