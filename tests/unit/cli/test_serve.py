"""What `server` makes of what is in a server: its log, its table, its rates, and how it tells how to join."""

from __future__ import annotations

import io

import pytest
from livekit.protocol import models
from rich.console import Console

from aiolivekit.cli.describe import Entry
from aiolivekit.cli.output import UsageProblem
from aiolivekit.cli.serve.changes import changes_between
from aiolivekit.cli.serve.hosting import checked_address
from aiolivekit.cli.serve.invitation import Invitation
from aiolivekit.cli.serve.overview import (
    Counts,
    Overview,
    ParticipantView,
    RoomView,
    TrackView,
    participant_view,
)
from aiolivekit.cli.serve.rates import Rate, Rates, rates_between
from aiolivekit.cli.serve.views import overview_table

from .running import Cli

CAMERA = TrackView("TR_1", "cam", "video", "camera", "VP8", 640, 360)
ANN = ParticipantView("PA_1", "ann", "Ann", active=True)
NOBODY = Overview()


def lab(*people: ParticipantView) -> Overview:
    return Overview((RoomView("RM_1", "lab", people),))


def with_tracks(person: ParticipantView, *tracks: TrackView) -> ParticipantView:
    return ParticipantView(person.sid, person.identity, person.name, person.kind, person.active, tracks)


def events(entries: list[Entry]) -> list[str]:
    return [entry.event for entry in entries]


# -- changes ------------------------------------------------------------------------------------------------


def test_nothing_has_happened() -> None:
    assert changes_between(NOBODY, NOBODY) == []
    assert changes_between(lab(with_tracks(ANN, CAMERA)), lab(with_tracks(ANN, CAMERA))) == []


def test_from_the_first_to_the_last() -> None:
    joining = ParticipantView("PA_1", "ann", "Ann")
    steps = [
        (NOBODY, lab(joining), ["room_started", "participant_joined"]),
        (lab(joining), lab(ANN), ["participant_active"]),
        (lab(ANN), lab(with_tracks(ANN, CAMERA)), ["track_published"]),
        (lab(with_tracks(ANN, CAMERA)), lab(with_tracks(ANN)), ["track_unpublished"]),
        (lab(ANN), lab(), ["participant_left"]),
        (lab(), NOBODY, ["room_finished"]),
    ]
    for before, after, expected in steps:
        assert events(changes_between(before, after)) == expected


def test_all_at_once() -> None:
    everything = lab(with_tracks(ANN, CAMERA))
    began = ["room_started", "participant_joined", "participant_active", "track_published"]
    assert events(changes_between(NOBODY, everything)) == began
    assert events(changes_between(everything, NOBODY)) == ["track_unpublished", "participant_left", "room_finished"]


def test_muting() -> None:
    muted = TrackView("TR_1", "cam", "video", "camera", "VP8", 640, 360, muted=True)
    (entry,) = changes_between(lab(with_tracks(ANN, CAMERA)), lab(with_tracks(ANN, muted)))
    assert (entry.event, entry.words) == ("track_muted", "lab: ann (Ann) muted camera (VP8, 640x360)")
    assert events(changes_between(lab(with_tracks(ANN, muted)), lab(with_tracks(ANN, CAMERA)))) == ["track_unmuted"]
    # Published muted is both.
    assert events(changes_between(lab(ANN), lab(with_tracks(ANN, muted)))) == ["track_published", "track_muted"]


def test_one_identity_puts_the_other_out() -> None:
    again = ParticipantView("PA_2", "ann", active=True)
    assert events(changes_between(lab(ANN), lab(again))) == [
        "participant_left",
        "participant_joined",
        "participant_active",
    ]


def test_what_an_entry_says() -> None:
    agent = ParticipantView("PA_3", "bot\x1b[2J", kind="agent")
    (entry,) = changes_between(lab(), lab(agent))
    assert entry.words == "lab: bot\\x1b[2J joined as agent"
    assert entry.fields == {"room": "lab", "participant": "bot\x1b[2J", "sid": "PA_3", "name": "", "kind": "agent"}
    data = TrackView("DTR_1", "joints", "data")
    (entry,) = changes_between(lab(agent), lab(with_tracks(agent, data)))
    assert entry.words.endswith("published data “joints”")
    assert entry.fields["track"] == "DTR_1"


def test_a_participant_as_the_server_describes_it() -> None:
    info = models.ParticipantInfo(
        sid="PA_1",
        identity="ann",
        name="Ann",
        state=models.ParticipantInfo.State.ACTIVE,
        tracks=[
            models.TrackInfo(
                sid="TR_1",
                name="cam",
                type=models.TrackType.VIDEO,
                source=models.TrackSource.CAMERA,
                mime_type="video/VP8",
                width=640,
                height=360,
            )
        ],
        data_tracks=[models.DataTrackInfo(sid="DTR_1", name="joints")],
    )
    counts = {"TR_1": Counts(10, 1000, 2)}
    view = participant_view(info, counts=counts.get, data_packets=4)
    assert view == ParticipantView(
        "PA_1",
        "ann",
        "Ann",
        active=True,
        tracks=(
            TrackView("TR_1", "cam", "video", "camera", "VP8", 640, 360, counts=Counts(10, 1000, 2)),
            TrackView("DTR_1", "joints", "data"),
        ),
        data_packets=4,
    )
    # Of a kind that is newer than we are.
    info.kind = 99  # type: ignore[assignment]
    assert participant_view(info).kind == "unknown"


# -- rates --------------------------------------------------------------------------------------------------


def counted(packets: int, octets: int | None, data: int | None) -> Overview:
    track = TrackView("TR_1", "cam", "video", counts=Counts(packets, octets, 1))
    return lab(ParticipantView("PA_1", "ann", tracks=(track,), data_packets=data))


def test_rates() -> None:
    assert rates_between(counted(10, 1000, 5), counted(60, 13_500, 25), 2.0) == Rates(
        {"TR_1": Rate(25.0, 50.0)}, {"PA_1": 10.0}
    )


def test_what_is_not_counted_has_no_rate() -> None:
    assert rates_between(NOBODY, counted(10, 1000, 5), 1.0) == Rates()
    assert rates_between(counted(10, None, None), counted(20, None, None), 1.0) == Rates({"TR_1": Rate(10.0, None)})
    assert rates_between(lab(with_tracks(ANN, CAMERA)), lab(with_tracks(ANN, CAMERA)), 1.0) == Rates()
    assert rates_between(counted(1, 1, 1), counted(2, 2, 2), 0.0) == Rates()


# -- the table ----------------------------------------------------------------------------------------------


def drawn(overview: Overview, rates: Rates) -> str:
    out = io.StringIO()
    Console(file=out, width=110, highlight=False, markup=False, emoji=False).print(overview_table(overview, rates, 104))
    return out.getvalue()


def test_the_table() -> None:
    table = drawn(counted(10, 1000, 5), Rates({"TR_1": Rate(25.2, 1234.0)}, {"PA_1": 7.0}))
    (row,) = [line for line in table.splitlines() if "ann" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "lab",
        "ann",
        "video “cam”",
        "1",
        "25",
        "1,234",
        "7",
    ]
    assert table.startswith("1 room, 1 here")
    assert "Ctrl-C stops the server" in table


def test_the_table_of_empty_rooms() -> None:
    assert drawn(NOBODY, Rates()).startswith("0 rooms, 0 here")
    assert "nobody" in drawn(lab(), Rates())


def test_names_do_not_steer_the_terminal() -> None:
    assert "\x1b" not in drawn(lab(ParticipantView("PA_1", "\x1b[2J", active=True)), Rates())


# -- the invitation -----------------------------------------------------------------------------------------


def invitation(url: str, *, show_secret: bool = True) -> Invitation:
    return Invitation("dev server", url, "my room", "guest", "key", "s3cret", "tok.en", "brow.ser", show_secret)


def test_lines_to_paste() -> None:
    lines = dict(invitation("ws://127.0.0.1:7880").lines())
    assert lines["URL"] == "ws://127.0.0.1:7880"
    assert lines["secret"] == "s3cret"
    assert lines["join from here"] == "aiolivekit join ws://127.0.0.1:7880 --token tok.en"
    assert "https://meet.livekit.io/custom?liveKitUrl=ws%3A%2F%2F127.0.0.1%3A7880&token=brow.ser" in lines.values()


def test_a_secret_the_user_knows_is_not_shown() -> None:
    given = invitation("ws://127.0.0.1:7880", show_secret=False)
    assert "s3cret" not in str(given.lines()) + str(given.as_json()) + repr(given)
    assert "tok.en" not in repr(given)


def test_no_browser_line_where_browsers_refuse() -> None:
    elsewhere = invitation("ws://192.0.2.1:7880")
    assert elsewhere.browser_line is None
    assert "meet.livekit.io" not in str(elsewhere.lines())
    assert invitation("ws://[::1]:7880").browser_line is not None


# -- usage --------------------------------------------------------------------------------------------------


def test_addresses_to_listen_on() -> None:
    assert checked_address("localhost") == "127.0.0.1"
    assert checked_address("192.0.2.1") == "192.0.2.1"
    assert checked_address("0:0:0:0:0:0:0:1") == "::1"
    for host, words in (
        ("0.0.0.0", "clients are told one"),
        ("::", "clients are told one"),
        ("a.example", "IP address"),
    ):
        with pytest.raises(UsageProblem, match=words):
            checked_address(host)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["server", "--host", "0.0.0.0"], "clients are told one"),
        (["server", "--host", "a.example"], "takes an IP address"),
        (["server", "--port", "70000"], "--port"),
        (["server", "--api-key", "key"], "go together"),
        (["server", "--build"], "goes with --real"),
        (["server", "--real", "--host", "192.0.2.1"], "127.0.0.1 alone"),
        (["server", "--identity", ""], "cannot be empty"),
        (["doctor"], "URL of the server is missing"),
        (["doctor", "ftp://x"], "does not begin with wss://"),
        (["doctor", "ws://127.0.0.1:1", "--api-key", "key"], "go together"),
        (["doctor", "ws://127.0.0.1:1", "--token", "t", "--room", "r"], "made with a key"),
        (["doctor", "ws://127.0.0.1:1", "--timeout", "0"], "--timeout"),
        (["demo", "--real", "--url", "ws://127.0.0.1:1"], "two servers"),
    ],
)
def test_wrong_usage(cli: Cli, arguments: list[str], words: str) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1
