"""The flight record as files, and what a room reports of an episode of reconnecting."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol import rtc

from aiolivekit.core.flight import LANES, FlightHeader, FlightRecord, FlightRecorder
from aiolivekit.core.reconnection import Cause, Episode, Mode
from aiolivekit.engine.events import (
    Disconnected,
    Restarted,
    Restarting,
    Resumed,
    Resuming,
    SignalRestarted,
    SignalResumed,
)
from aiolivekit.enums import ConnectionState, DisconnectReason
from aiolivekit.errors import FlightLogError, UnreachableError
from aiolivekit.options import RoomOptions
from aiolivekit.room.flight_log import FlightLog, FlightTrace
from aiolivekit.room.report import Episodes, ReconnectCause, ReconnectReport
from aiolivekit.room.room import Room
from aiolivekit.room.track import LocalAudioTrack

from ..cli.running import Cli
from .fakes import Connector, Stage, join

SIGNAL = Cause("signal", DisconnectReason.SIGNAL_CLOSE, "the connection was lost")
REMOVED = Cause("leave", DisconnectReason.PARTICIPANT_REMOVED)
RESUMED = Episode(Mode.RESUME, SIGNAL, 2, 0.5, (Mode.RESUME,))
RESTARTED = Episode(Mode.RESTART, SIGNAL, 3, 0.7, (Mode.RESUME, Mode.RESTART))


@pytest.fixture
def log() -> FlightLog:
    log = FlightLog(FlightRecorder())
    tap = log.recorder.tap(1)
    log.recorder.note("room", "joining")
    tap.note("signalling", "received", kind="join", size=474, room="RM_1", sids=["TR_1", "TR_2"])
    tap.note("peers", "dtls", peer="publisher", state="connected")
    log.recorder.note("engine", "lost", source="signal", detail="the server was silent for 15 s")
    return log


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(capsys, monkeypatch)


# -- files ----------------------------------------------------------------------------------------------


def test_json_lines_and_back(log: FlightLog, tmp_path: Path) -> None:
    log.write_jsonl(tmp_path / "flight.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "flight.jsonl").read_text().splitlines()]
    assert (lines[0]["flight"], lines[0]["records"], lines[0]["dropped"]) == (1, 4, 0)
    assert [line["what"] for line in lines[1:]] == ["joining", "received", "dtls", "lost"]
    assert lines[2]["fields"]["sids"] == ["TR_1", "TR_2"]
    read = FlightTrace.read_jsonl(tmp_path / "flight.jsonl")
    assert read.made_by == log.trace().made_by
    assert read.header.began == pytest.approx(log.trace().header.began)
    assert [(r.lane, r.what, r.epoch, r.fields) for r in read.records] == [
        (r.lane, r.what, r.epoch, r.fields) for r in log.records()
    ]
    assert [r.at for r in read.records] == pytest.approx([r.at for r in log.records()], abs=1e-6)


HEAD = '{"flight": 1, "began": 1.0, "dropped": 0, "withheld": 0}'
RECORD = '{"at": 1, "wall": 2, "lane": "room", "what": "joining", "epoch": 0, "fields": {}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1"),
        ("<html>", "line 1"),
        ("[1, 2]", "line 1"),
        ('{"flight": 2}', "another version"),
        (f"{HEAD}\nnot json", "line 2"),
        (f"{HEAD}\n{RECORD}\n[]", "line 3"),
        (f"{HEAD}\n" + RECORD.replace('"room"', '"street"'), "line 2"),
        (f"{HEAD}\n" + RECORD.replace("{}", "7"), "line 2"),
        (f"{HEAD}\n" + "[" * 100_000, "line 2"),
    ],
)
def test_what_is_no_flight_record_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(FlightLogError, match=words):
        FlightTrace.read_jsonl(tmp_path / "file")


def test_a_file_of_somebody_else_gets_in_only_what_is_allowed(tmp_path: Path) -> None:
    evil = json.loads(RECORD) | {"at": float("nan"), "wall": 1e300, "epoch": "x"}
    evil["fields"] = {"state": "connected", "token": "secret", "reason": "<script>alert(1)</script>", "size": [1]}
    (tmp_path / "file").write_text(f"{HEAD}\n{json.dumps(evil)}\n\n")
    [record] = FlightTrace.read_jsonl(tmp_path / "file").records
    assert record == FlightRecord(0.0, 0.0, "room", "joining", 0, {"state": "connected"})


def test_the_page_is_complete_in_itself(log: FlightLog, tmp_path: Path) -> None:
    log.write_html(tmp_path / "flight.html")
    page = (tmp_path / "flight.html").read_text()
    assert re.findall(r"(?:https?:)?//[a-z]|@import|url\(|<link [^>]*stylesheet|<script src", page) == []
    assert "default-src 'none'" in page
    [data] = re.findall(r'<script type="application/json" id="trace">(.*?)</script>', page, re.DOTALL)
    trace = json.loads(data)
    assert [record["what"] for record in trace["records"]] == ["joining", "received", "dtls", "lost"]
    assert trace["lanes"] == list(LANES)
    assert not re.findall(r"/\*(?:style|script|trace)\*/", page)


def test_nothing_in_a_trace_can_break_out_of_the_page() -> None:
    evil = "</script><script>alert(1)</script>/*style*/"
    page = FlightTrace(FlightHeader(0.0), [FlightRecord(0.0, 0.0, "room", evil)], evil).html()
    assert "alert(1)</script>" not in page
    assert page.count("</script>") == FlightTrace(FlightHeader(0.0), []).html().count("</script>")


@pytest.mark.parametrize("many", [0, 3000])
def test_the_page_works_in_a_browser(tmp_path: Path, many: int) -> None:
    """Its script runs to its end, which a table with all records shows."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    log = FlightLog(FlightRecorder())
    for number in range(many):
        log.recorder.note("signalling", "sent" if number % 2 else "received", kind="update", size=number)
    log.write_html(tmp_path / "flight.html")
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    done = subprocess.run(
        [browser, *options, "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "flight.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    body = done.stdout.partition("<tbody")[2].partition("</tbody>")[0]
    assert body.count("<tr") == many
    assert f"{many} records" in done.stdout
    assert "Nothing matches." in done.stdout


def test_the_command_makes_a_page(cli: Cli, log: FlightLog, tmp_path: Path) -> None:
    log.write_jsonl(tmp_path / "flight.jsonl")
    done = cli("flight", str(tmp_path / "flight.jsonl"))
    assert (done.status, done.out.strip(), done.err) == (0, str(tmp_path / "flight.html"), "")
    assert (tmp_path / "flight.html").read_text() == FlightTrace.read_jsonl(tmp_path / "flight.jsonl").html()
    done = cli("flight", str(tmp_path / "flight.jsonl"), "-o", str(tmp_path / "no" / "page.html"))
    assert done.status == 1
    assert "could not be written: No such file" in done.err
    done = cli("flight", str(tmp_path / "flight.html"))
    assert (done.status, "line 1 is not one of a flight record" in done.err) == (1, True)
    assert cli("flight", str(tmp_path / "missing")).status == 1


# -- on failure -----------------------------------------------------------------------------------------


async def test_a_failed_connect_leaves_its_record(
    connector: Connector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connector.failure = UnreachableError("the server cannot be reached")
    room, before = Room(), set(threading.enumerate())
    with pytest.raises(UnreachableError):
        await room.connect("ws://server", "token", RoomOptions(flight_log=str(tmp_path / "a" / "b")))
    path = room.flight_recorder.saved_as
    assert path is not None
    assert path.parent == tmp_path / "a" / "b"
    last = FlightTrace.read_jsonl(path.with_suffix(".jsonl")).records[-1]
    assert (last.what, last.fields) == ("not joined", {"error": "UnreachableError"})
    assert f"the room could not be joined; the flight record is {path}" in caplog.text
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


async def test_a_directory_that_cannot_be_written_is_told_and_changes_nothing(
    connector: Connector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connector.failure = UnreachableError("the server cannot be reached")
    (tmp_path / "file").write_text("")
    room = Room()
    with pytest.raises(UnreachableError):
        await room.connect("ws://server", "token", RoomOptions(flight_log=tmp_path / "file"))
    assert room.flight_recorder.saved_as is None
    assert "the flight record could not be written" in caplog.text


@pytest.mark.parametrize("options", [RoomOptions(), RoomOptions(flight_records=0, flight_log="never-made")])
async def test_nothing_is_written_unless_asked_for(
    connector: Connector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: RoomOptions
) -> None:
    monkeypatch.chdir(tmp_path)
    connector.failure = UnreachableError("the server cannot be reached")
    room = Room()
    with pytest.raises(UnreachableError):
        await room.connect("ws://server", "token", options)
    assert room.flight_recorder.saved_as is None
    assert bool(room.flight_recorder.records()) is (options.flight_records > 0)
    assert not (tmp_path / "never-made").exists()


async def test_a_cancelled_connect_is_no_failure(connector: Connector, tmp_path: Path) -> None:
    connector.gate = asyncio.Event()
    room = Room()
    connecting = asyncio.create_task(room.connect("ws://server", "token", RoomOptions(flight_log=tmp_path)))
    async with asyncio.timeout(5):
        await connector.began.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert room.flight_recorder.records()[-1].fields == {"error": "CancelledError"}
    assert room.flight_recorder.saved_as is None


# -- reports --------------------------------------------------------------------------------------------


def watch(stage: Stage) -> list[ReconnectReport]:
    reports: list[ReconnectReport] = []
    stage.room.on_reconnect = reports.append
    return reports


async def test_a_resume_is_reported_behind_reconnected(stage: Stage, microphone: LocalAudioTrack) -> None:
    await stage.room.local_participant.publish_track(microphone)
    stage.take()
    reports = watch(stage)
    for event in (Resuming(), SignalResumed(rtc.ReconnectResponse()), Resumed(None, RESUMED, 7)):
        stage.put(event)
    [report] = reports
    assert stage.names()[-3:] == ["connection_state_changed", "reconnected", "reconnect_reported"]
    assert report.cause == ReconnectCause("signal", DisconnectReason.SIGNAL_CLOSE, "the connection was lost")
    assert (report.succeeded, report.ended_by, report.mode, report.modes) == (True, None, "resume", ("resume",))
    assert (report.attempts, report.messages_replayed) == (2, 7)
    assert (report.tracks_resumed, report.tracks_republished, report.tracks_restored) == (1, 0, 1)
    assert report is stage.room.last_reconnect
    assert "back after" in str(report)
    assert stage.room.flight_recorder.records()[-1].what == "reconnect reported"


async def test_a_restart_is_reported_when_the_tracks_are_back(stage: Stage, microphone: LocalAudioTrack) -> None:
    await stage.room.local_participant.publish_track(microphone)
    reports = watch(stage)
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    stage.engine.reached.clear()
    for event in (Resuming(), Restarting(), SignalRestarted(join()), Restarted(RESTARTED, 4)):
        stage.put(event)
    await stage.engine.wait_for("negotiate")
    assert reports == []
    done = asyncio.Event()
    stage.room.on("reconnect_reported", lambda: done.set())
    gate.set()
    async with asyncio.timeout(5):
        await done.wait()
    [report] = reports
    assert (report.mode, report.modes, report.attempts) == ("restart", ("resume", "restart"), 3)
    assert (report.messages_replayed, report.tracks_resumed, report.tracks_republished) == (4, 0, 1)


async def test_a_resume_in_the_middle_of_publishing_again_lets_it_go_on(
    stage: Stage, microphone: LocalAudioTrack
) -> None:
    """What the resume brings back is the session in which the tracks are being published."""
    publication = await stage.room.local_participant.publish_track(microphone)
    before, reports = publication.sid, watch(stage)
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    stage.engine.reached.clear()
    stage.engine.epoch = 2
    for event in (Restarting(), SignalRestarted(join()), Restarted(RESTARTED, 1)):
        stage.put(event)
    await stage.engine.wait_for("negotiate")
    stage.take()
    for event in (Resuming(), SignalResumed(rtc.ReconnectResponse()), Resumed(None, RESUMED, 2)):
        stage.put(event)
    assert stage.names() == []
    done = asyncio.Event()
    stage.room.on("reconnect_reported", lambda: done.set())
    gate.set()
    async with asyncio.timeout(5):
        await done.wait()
    assert publication.sid != before
    assert stage.names() == [
        "local_track_republished",
        "connection_state_changed",
        "reconnected",
        "reconnect_reported",
    ]
    # To the application it was one episode.
    [report] = reports
    assert (report.attempts, report.messages_replayed, report.tracks_republished) == (5, 3, 1)
    assert (report.mode, report.modes) == ("resume", ("resume", "restart"))


async def test_publishing_again_that_ends_while_the_link_is_lost_waits_for_it(
    stage: Stage, microphone: LocalAudioTrack
) -> None:
    await stage.room.local_participant.publish_track(microphone)
    reports = watch(stage)
    stage.engine.gates["negotiate"] = gate = asyncio.Event()
    stage.engine.reached.clear()
    for event in (Restarting(), SignalRestarted(join()), Restarted(RESTARTED)):
        stage.put(event)
    await stage.engine.wait_for("negotiate")
    stage.put(Resuming())
    republished = asyncio.Event()
    stage.room.on("local_track_republished", lambda: republished.set())
    gate.set()
    async with asyncio.timeout(5):
        await republished.wait()
    await asyncio.sleep(0)
    assert (reports, stage.room.connection_state) == ([], ConnectionState.CONN_RECONNECTING)
    stage.put(Resumed(None, RESUMED))
    [report] = reports
    assert report.tracks_republished == 1
    assert stage.room.connection_state is ConnectionState.CONN_CONNECTED


async def test_a_lost_room_is_reported_before_disconnected(stage: Stage, tmp_path: Path) -> None:
    reports = watch(stage)
    visit = stage.room._visit
    assert visit is not None
    visit._flight_log = stage.room._flight_log = FlightLog(FlightRecorder(), tmp_path)
    stage.put(Resuming())
    stage.take()
    stage.put(Disconnected(DisconnectReason.PARTICIPANT_REMOVED, "", REMOVED, RESUMED, 1))
    assert stage.names() == ["connection_state_changed", "reconnect_reported", "disconnected"]
    [report] = reports
    assert (report.succeeded, report.messages_replayed) == (False, 1)
    assert report.ended_by == ReconnectCause("leave", DisconnectReason.PARTICIPANT_REMOVED)
    assert report.cause.source == "signal"
    assert "given up" in str(report)
    await stage.room.flight_recorder.saved()
    assert stage.room.flight_recorder.saved_as is not None


async def test_who_leaves_or_is_sent_away_gets_no_report(stage: Stage) -> None:
    reports = watch(stage)
    stage.put(Disconnected(DisconnectReason.PARTICIPANT_REMOVED, "", REMOVED))
    assert reports == []
    other = await Stage.started()
    reports = watch(other)
    other.put(Resuming())
    await other.room.disconnect()
    assert (reports, other.room.last_reconnect) == ([], None)


async def test_a_hook_that_fails_stops_nothing(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[tuple[Any, ...]] = []
    stage.room.on_handler_error = lambda *args: errors.append(args)

    def hook(report: ReconnectReport) -> None:
        raise LookupError

    stage.room.on_reconnect = hook
    for event in (Resuming(), Resumed(None, RESUMED)):
        stage.put(event)
    assert stage.names()[-1] == "reconnect_reported"
    [(event, failed, error)] = errors
    assert (event, failed, type(error)) == ("on_reconnect", hook, LookupError)
    assert stage.room.on_reconnect is hook


def test_an_engine_that_tells_nothing_is_not_reported() -> None:
    episodes = Episodes()
    episodes.begin(1.0)
    assert episodes.succeeded(2.0, published=1, republished=0) is None
    assert not episodes.going_on


def test_the_duration_is_from_the_loss_to_the_end_of_it_all() -> None:
    episodes = Episodes()
    episodes.begin(1.0)
    episodes.begin(1.5)
    episodes.connected(RESUMED, 0)
    report = episodes.succeeded(2.25, published=0, republished=0)
    assert report is not None
    assert report.duration == 1.25


async def test_each_connection_has_a_record_of_its_own(connector: Connector) -> None:
    room = Room()
    first = room.flight_recorder
    assert first.records() == ()
    await room.connect("ws://server", "token")
    assert room.flight_recorder is not first
    assert [record.what for record in room.flight_recorder.records()] == ["joining"]
    await room.disconnect()


async def test_a_failed_handler_is_written_down_without_its_words(connector: Connector) -> None:
    room = Room()

    @room.on("connected")
    def connected() -> None:
        raise ValueError("4711")

    await room.connect("ws://server", "token")
    await room.disconnect()
    [found] = [record for record in room.flight_recorder.records() if record.what == "handler failed"]
    assert (found.fields["event"], found.fields["error"]) == ("connected", "ValueError")
    assert "4711" not in str([record.fields for record in room.flight_recorder.records()])
