"""The flight recorder on real rooms: it tells the story, and no secret."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol import rtc as proto_rtc

from aiolivekit import FlightTrace, ReconnectReport, Room, RoomOptions
from aiolivekit.enums import SimulateScenarioKind
from aiolivekit.errors import ConnectError
from aiolivekit.options import BackoffPolicy
from aiolivekit.testing import EmbeddedServer

from . import media
from .cli_process import run
from .conftest import OURS
from .sdk import DEADLINE, Recorder, meeting, running, subscribed, until

Kind = SimulateScenarioKind
PAYLOAD = "payload-of-alice-4711"
METADATA = "metadata-of-alice-4712"
ATTRIBUTE = "attribute-of-alice-4713"
TOPIC = "topic-of-alice-4714"
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")


class Secrets:
    """Everything that must not be told, collected while it comes to be."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.long = {server.api_secret, PAYLOAD, METADATA, ATTRIBUTE, TOPIC}
        # Short ones are looked for as words of their own.
        self.short: set[str] = set()

    def add_rooms(self, *rooms: Room) -> None:
        for room in rooms:
            visit = room._visit
            assert visit is not None
            assert room._token is not None
            self.long |= {room._token, *room._token.split(".")[1:], visit.engine.session().signal.token}
            for description in visit.engine.session().peers.descriptions():
                if description is not None:
                    self.add_sdp(description)

    def add_sdp(self, description: proto_rtc.SessionDescription) -> None:
        assert "ice-pwd" in description.sdp
        for line in description.sdp.splitlines():
            name, _, value = line.partition(":")
            if name in ("a=ice-pwd", "a=fingerprint"):
                self.long.add(value.split()[-1])
            elif name == "a=ice-ufrag":
                self.short.add(value)
            elif name == "a=candidate":
                self.long.add(line)
                self.short |= {value.split()[4], value.split()[5]}
        # A port of 9 is no port (RFC 8840, section 4.1.1).
        self.short -= {"9"}

    def found_in(self, text: str) -> list[str]:
        found = [secret for secret in self.long if secret in text]
        found += [s for s in self.short if re.search(rf"(?<![\w+/.-]){re.escape(s)}(?![\w+/.-])", text)]
        found += list(_ADDRESS.findall(text))
        return found + [sign for sign in ("a=ice", "a=candidate", "o=-", "candidate:", "eyJ") if sign in text]


def told(records: list[logging.LogRecord]) -> str:
    formatter = logging.Formatter("%(name)s %(message)s")
    return "\n".join(formatter.format(record) for record in records)


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def story(room: Room) -> list[str]:
    return [record.what for record in room.flight_recorder.records()]


async def test_nothing_secret_is_told(single: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Join, publish, resume and restart; then look through everything that was written anywhere."""
    caplog.set_level(logging.DEBUG)
    with EmbeddedServer() as server:
        secrets = Secrets(server)
        async with meeting(server.url, server.token, OURS, OURS, single=single) as (alice, events, bob, others):
            me, source = alice.local_participant, OURS.rtc.AudioSource(media.RATE, 1)
            secrets.add_rooms(alice, bob)
            await me.set_metadata(METADATA)
            await me.set_attributes({"secret": ATTRIBUTE})
            await me.publish_track(OURS.rtc.LocalAudioTrack.create_audio_track("tone", source))
            alice.on("data_received", lambda _packet: 1 / 0)
            async with running(media.play_tone(OURS.rtc, source, 700.0)):
                await subscribed(others)
                for number, scenario in enumerate((Kind.SIMULATE_SIGNAL_RECONNECT, Kind.SIMULATE_FULL_RECONNECT)):
                    await me.publish_data(PAYLOAD, topic=TOPIC)
                    await bob.local_participant.publish_data(PAYLOAD, topic=TOPIC)
                    secrets.add_rooms(alice, bob)
                    await alice.simulate_scenario(scenario)
                    await until(lambda number=number: len(events.of("reconnected")) > number, "reconnected")
                    secrets.add_rooms(alice, bob)
                await until(lambda: len(others.of("data_received")) >= 2, "both messages")
            await source.aclose()
        log = alice.flight_recorder
        log.write_jsonl(tmp_path / "flight.jsonl")
        log.write_html(tmp_path / "flight.html")
        assert log.recorder.header.withheld == 0, "what is written down is written so that it may be"
        for room in (alice, bob):
            assert {"joining", "session", "offer made", "peer", "channel", "link open"} <= set(story(room))
        assert {"handler failed", "recovered", "gate opened", "local track republished"} <= set(story(alice))
        assert [r.fields["mode"] for r in log.records() if r.what == "recovered"] == ["resume", "restart"]
        assert len(secrets.short) > 4
        lines, page = (tmp_path / "flight.jsonl").read_text(), (tmp_path / "flight.html").read_text()
        assert secrets.found_in(lines) == []
        assert secrets.found_in(page) == []
        assert secrets.found_in(repr(log.records()) + repr(alice.last_reconnect)) == []
        logged = [record for record in caplog.records if not record.name.startswith("asyncio")]
        assert logged
        assert secrets.found_in(told(logged)) == []
        # The traps themselves work.
        assert secrets.found_in(f"x {next(iter(secrets.short))} y") != []


async def test_reports_of_a_resume_and_of_a_restart(livekit_server: Any, livekit_token: Any, single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single, acquainted=False) as (
        alice,
        events,
        _,
        _,
    ):
        told: list[tuple[str, Any]] = []
        alice.on("reconnected", lambda: told.append(("reconnected", None)))
        alice.on("reconnect_reported", lambda report: told.append(("reported", report)))
        alice.on_reconnect = lambda report: told.append(("hook", report))
        source = OURS.rtc.AudioSource(media.RATE, 1)
        await alice.local_participant.publish_track(OURS.rtc.LocalAudioTrack.create_audio_track("tone", source))
        for scenario in (Kind.SIMULATE_SIGNAL_RECONNECT, Kind.SIMULATE_FULL_RECONNECT):
            told.clear()
            await alice.simulate_scenario(scenario)
            await until(lambda: len(told) == 3, "the report")
            (first, _), (second, hooked), (third, report) = told
            assert (first, second, third) == ("reconnected", "hook", "reported")
            assert hooked is report is alice.last_reconnect
            assert isinstance(report, ReconnectReport)
            assert (report.succeeded, report.ended_by, report.attempts) == (True, None, 1)
            assert report.duration > 0
            if scenario is Kind.SIMULATE_SIGNAL_RECONNECT:
                assert (report.mode, report.modes, report.cause.source) == ("resume", ("resume",), "signal")
                assert (report.tracks_resumed, report.tracks_republished) == (1, 0)
            else:
                assert (report.mode, report.modes, report.cause.source) == ("restart", ("restart",), "leave")
                assert (report.tracks_resumed, report.tracks_republished) == (0, 1)
        await source.aclose()


async def test_a_room_that_is_lost_for_good_leaves_its_record(
    single: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    room, reports = Room(), []
    with EmbeddedServer() as server:
        recorder = Recorder(room)
        room.on("reconnect_reported", reports.append)
        policy = BackoffPolicy(attempts=2, duration=0.0, first=0.01, base=0.01, cap=0.01)
        options = RoomOptions(
            single_peer_connection=single, join_retries=0, reconnect_policy=policy, flight_log=tmp_path / "flights"
        )
        await room.connect(server.url, server.token("me"), options)
        server.faults.refuse_resume(100, identity="me", status=503)
        server.faults.close_signal("me", abrupt=True)
        await recorder.wait("disconnected")
        await room.disconnect()
    [report] = reports
    assert (report.succeeded, report.attempts, report.cause.source) == (False, 2, "signal")
    assert report.ended_by is not None
    assert report is room.last_reconnect
    page = room.flight_recorder.saved_as
    assert page is not None
    assert [path.suffix for path in files(tmp_path / "flights")] == [".html", ".jsonl"]
    trace = FlightTrace.read_jsonl(page.with_suffix(".jsonl"))
    whats = [record.what for record in trace.records]
    assert whats.count("attempt failed") == 2
    assert whats[-2:] == ["reconnect reported", "disconnected"]
    assert any(str(page) in record.getMessage() for record in caplog.records)


async def test_a_room_that_cannot_be_joined_leaves_its_record(tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        room = Room()
        with pytest.raises(ConnectError):
            await room.connect(server.url, "no-token", RoomOptions(join_retries=0, flight_log=tmp_path))
    page = room.flight_recorder.saved_as
    assert page is not None
    last = FlightTrace.read_jsonl(page.with_suffix(".jsonl")).records[-1]
    assert (last.what, last.fields["error"]) == ("not joined", "InvalidTokenError")


async def test_leaving_reports_nothing_and_writes_nothing(single: bool, tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        room, reports = Room(), []
        room.on_reconnect = reports.append
        await room.connect(
            server.url, server.token("me"), RoomOptions(single_peer_connection=single, flight_log=tmp_path)
        )
        server.faults.refuse_resume(100, identity="me", status=503)
        away = asyncio.Event()
        room.on("reconnecting", away.set)
        server.faults.close_signal("me", abrupt=True)
        async with asyncio.timeout(DEADLINE):
            await away.wait()
        await room.disconnect()
    assert (reports, files(tmp_path), room.last_reconnect) == ([], [], None)


async def test_the_command_line_writes_records(tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        arguments = ("--token", server.token("me"), "--duration", "0.3", "--flight-log", str(tmp_path))
        status, _, errors = await run("join", server.url, *arguments)
    assert status == 0, errors
    page, lines = files(tmp_path)
    assert str(page) in errors
    head = json.loads(lines.read_text().splitlines()[0])
    assert head["flight"] == 1
    assert head["records"] == len(lines.read_text().splitlines()) - 1 > 10
