"""What becomes of calls made while a resume or a restart is at one of its steps: done, withdrawn, or ended by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import aiolivekit
from aiolivekit.enums import DisconnectReason
from aiolivekit.errors import LiveKitError
from aiolivekit.testing import EmbeddedServer

from ..leaks import no_leaks
from .stage import DEADLINE, Stage, hurried, on_stage, until

Faults = Any


def resume_at(message: str) -> Callable[[Faults], Any]:
    """A resume that stands still where the server would send a message."""

    def begin(faults: Faults) -> Any:
        held = faults.hold("" if message == "reconnect" else message, identity="alice")
        faults.close_signal("alice", abrupt=True)
        return held

    return begin


def restart_at(message: str) -> Callable[[Faults], Any]:
    def begin(faults: Faults) -> Any:
        faults.leave("alice", "RECONNECT")
        return faults.hold("" if message == "join" else message, identity="alice")

    return begin


STEPS: dict[str, Callable[[Faults], Any]] = {
    "resume, reopened": resume_at("reconnect"),
    "resume, synchronised": resume_at("update"),
    "restart, dialled": restart_at("join"),
    "restart, joined": restart_at("answer"),
    "restart, publishing again": restart_at("track_published"),
}


def another_track() -> tuple[Any, Any]:
    source = aiolivekit.AudioSource(48_000, 1, queue_size_ms=0)
    return source, aiolivekit.LocalAudioTrack.create_audio_track("another", source)


async def stopped_there(stage: Stage, server: EmbeddedServer, step: str) -> Any:
    held = STEPS[step](server.faults)
    await held.wait_fired()
    await until(lambda: bool(stage.events.of("reconnecting")), "reconnecting")
    return held


def restarts(step: str) -> bool:
    return step.startswith("restart")


@pytest.mark.parametrize("step", STEPS)
async def test_calls_are_done_when_the_room_is_back(
    dev_server: EmbeddedServer, single: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    source, track = another_track()
    async with no_leaks(), on_stage(dev_server, single) as stage:
        held = await stopped_there(stage, dev_server, step)
        me = stage.alice.local_participant
        calls = [
            asyncio.create_task(me.publish_track(track)),
            asyncio.create_task(me.set_attributes({"mood": "good"})),
            asyncio.create_task(me.set_name("Alice")),
            *(asyncio.create_task(me.publish_data(str(number), topic="extra")) for number in range(100)),
        ]
        await asyncio.sleep(0.05)
        held.release()
        async with asyncio.timeout(DEADLINE):
            publication = (await asyncio.gather(*calls))[0]

        def seen() -> Any:
            return stage.bob.remote_participants.get("alice")

        await until(lambda: seen() is not None and publication.sid in seen().track_publications, "the track")
        await until(lambda: seen().attributes == {"mood": "good"} and seen().name == "Alice", "name and attributes")
        await until(lambda: len(extra_of(stage)) >= 100, "the messages")
        assert extra_of(stage) == list(range(100))
        await me.unpublish_track(publication.sid)
        await stage.works(restarted=restarts(step))
    await source.aclose()


def extra_of(stage: Stage) -> list[int]:
    return [int(packet.data) for (packet,) in stage.others.of("data_received") if packet.topic == "extra"]


@pytest.mark.parametrize("step", STEPS)
async def test_calls_are_withdrawn_when_cancelled(
    dev_server: EmbeddedServer, single: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    source, track = another_track()
    async with no_leaks(), on_stage(dev_server, single) as stage:
        held = await stopped_there(stage, dev_server, step)
        me = stage.alice.local_participant
        calls = {
            "track": asyncio.create_task(me.publish_track(track)),
            "attributes": asyncio.create_task(me.set_attributes({"mood": "bad"})),
            "data": asyncio.create_task(me.publish_data("1", topic="extra")),
        }
        await asyncio.sleep(0.02)
        for call in calls.values():
            call.cancel()
        await asyncio.wait(calls.values())
        assert calls["track"].cancelled()
        held.release()
        # Only the track that was there before, and whoever calls next is served.
        await stage.works(restarted=restarts(step))
        if calls["data"].cancelled():
            assert extra_of(stage) == []
        publication = await me.publish_track(track)
        await me.set_attributes({"mood": "good"})
        await until(
            lambda: publication.sid in stage.bob.remote_participants["alice"].track_publications, "the track at last"
        )
    await source.aclose()


@pytest.mark.parametrize("step", STEPS)
async def test_calls_end_by_name_when_the_room_is_left(
    dev_server: EmbeddedServer, single: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    source, track = another_track()
    async with no_leaks(), on_stage(dev_server, single) as stage:
        await stopped_there(stage, dev_server, step)
        me = stage.alice.local_participant
        calls = [
            asyncio.create_task(me.publish_track(track)),
            asyncio.create_task(me.set_attributes({"mood": "bad"})),
            asyncio.create_task(me.publish_data("1", topic="extra")),
        ]
        await asyncio.sleep(0.02)
        async with asyncio.timeout(DEADLINE):
            await stage.alice.disconnect()
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert stage.events.of("disconnected") == [(DisconnectReason.CLIENT_INITIATED,)]
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        assert all(isinstance(error, LiveKitError) for error in errors), errors
        assert isinstance(answers[0], LiveKitError)
        if step not in ("restart, joined", "restart, publishing again"):
            # In those the new link answers requests already, and may do so before the room is left.
            assert isinstance(answers[1], LiveKitError)
    await source.aclose()


@pytest.mark.parametrize("chain", ["resume", "restart"])
async def test_an_answer_that_is_lost_is_asked_for_again(
    dev_server: EmbeddedServer, single: bool, chain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    source, track = another_track()
    async with no_leaks(), on_stage(dev_server, single) as stage:
        me = stage.alice.local_participant
        lost = [
            dev_server.faults.drop_signal("request_response", identity="alice"),
            dev_server.faults.drop_signal("track_published", identity="alice"),
        ]
        calls = [
            asyncio.create_task(me.set_attributes({"mood": "good"})),
            asyncio.create_task(me.publish_track(track)),
        ]
        for fault in lost:
            await fault.wait_fired()
        if chain == "resume":
            dev_server.faults.close_signal("alice", abrupt=True)
        else:
            dev_server.faults.leave("alice", "RECONNECT")
        async with asyncio.timeout(DEADLINE):
            _, publication = await asyncio.gather(*calls)
        await until(lambda: "alice" in stage.bob.remote_participants, "alice is there")
        await until(lambda: publication.sid in stage.bob.remote_participants["alice"].track_publications, "the track")
        await me.unpublish_track(publication.sid)
        await stage.works(restarted=chain == "restart")
    await source.aclose()


async def test_requests_made_while_the_link_is_down_go_out_in_their_order(
    dev_server: EmbeddedServer, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    async with no_leaks(), on_stage(dev_server, single) as stage:
        me = stage.alice.local_participant
        names: list[str] = []
        stage.bob.on("participant_name_changed", lambda participant, *_: names.append(participant.name))
        refused = dev_server.faults.refuse_resume(3, identity="alice", status=503)
        dev_server.faults.close_signal("alice", abrupt=True)
        await refused.wait_fired(2)
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*(me.set_name(f"name {number}") for number in range(20)))
        await until(lambda: names[-1:] == ["name 19"], "the last name")
        numbers = [int(name.split()[1]) for name in names]
        assert numbers == sorted(numbers)
        await stage.works(restarted=False)
