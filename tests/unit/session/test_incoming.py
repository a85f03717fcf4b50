from __future__ import annotations

from typing import Any

from aiolivekit.session.events import MediaTrackAdded, MediaTrackRemoved
from aiolivekit.session.incoming import IncomingTracks


class Peer:
    """Has a section for every mid but `missing`."""

    def remote_media(self, mid: str) -> Any:
        return None if mid == "missing" else f"media {mid}"


def section(mid: str, msid: str, direction: str = "sendonly") -> str:
    return f"m=audio 9 X 0\r\na=mid:{mid}\r\na={direction}\r\n" + (f"a=msid:{msid}\r\n" if msid else "")


def run(*descriptions: tuple[str, dict[str, str]]) -> list[Any]:
    told: list[Any] = []
    tracks = IncomingTracks(told.append)
    for sections, ids in descriptions:
        tracks.update(Peer(), "v=0\r\n" + sections, ids)  # type: ignore[arg-type]
    return told


def test_two_peer_connections_name_the_track_in_the_msid() -> None:
    assert run((section("0", "PA_a|camera TR_1"), {})) == [MediaTrackAdded("media 0", "PA_a", "TR_1")]  # type: ignore[arg-type]


def test_one_peer_connection_names_it_beside_the_description() -> None:
    described = (section("0", "PA_a|TR_1 random-id") + section("1", "", "inactive"), {"0": "TR_1"})
    assert run(described) == [MediaTrackAdded("media 0", "PA_a", "TR_1")]  # type: ignore[arg-type]


def test_the_same_description_again_tells_nothing() -> None:
    described = (section("0", "PA_a TR_1"), {})
    assert len(run(described, described)) == 1


def test_a_section_goes_from_one_track_to_another() -> None:
    told = run((section("0", "PA_a TR_1"), {}), (section("0", "PA_b TR_2"), {}))
    assert told == [
        MediaTrackAdded("media 0", "PA_a", "TR_1"),  # type: ignore[arg-type]
        MediaTrackRemoved("PA_a", "TR_1"),
        MediaTrackAdded("media 0", "PA_b", "TR_2"),  # type: ignore[arg-type]
    ]


def test_a_track_ends() -> None:
    told = run((section("0", "PA_a TR_1"), {}), (section("0", "PA_a TR_1", "inactive"), {}), ("", {}))
    assert told[1:] == [MediaTrackRemoved("PA_a", "TR_1")]


def test_a_section_we_do_not_have_is_left_out() -> None:
    assert run((section("missing", "PA_a TR_1"), {})) == []


def test_nothing_arrives_in_a_section_that_we_reject() -> None:
    told: list[Any] = []
    tracks = IncomingTracks(told.append)
    described = "v=0\r\n" + section("0", "PA_a TR_1") + section("1", "PA_a TR_2")
    tracks.update(Peer(), described, {}, {"1"})  # type: ignore[arg-type]
    assert told == [MediaTrackAdded("media 0", "PA_a", "TR_1")]  # type: ignore[arg-type]
    assert tracks.mids == {"0"}
