"""`aiolivekit.rtc` offers what `livekit.rtc` does, at the version installed and at that livekit-agents pins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compat.comparison import Difference, differences
from tests.compat.differences import DIFFERENT, table
from tests.compat.surface import MODULES, surface_of

pytest.importorskip("livekit.rtc", reason="the official package is not installed (group `peers`)")

ROOT = Path(__file__).parent.parent.parent.parent
STORED = sorted((ROOT / "tests/compat/surfaces").glob("livekit-*.json"))


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return surface_of("aiolivekit.rtc")


@pytest.fixture(scope="module")
def surfaces() -> dict[str, dict[str, Any]]:
    stored = {path.stem.removeprefix("livekit-"): json.loads(path.read_text()) for path in STORED}
    installed = surface_of("livekit.rtc")
    return stored | {installed["version"]: installed}


def test_both_versions_are_compared(surfaces: dict[str, dict[str, Any]]) -> None:
    assert {"1.1.21", "1.2.1"} <= set(surfaces)
    for surface in surfaces.values():
        assert set(surface["modules"]) == {"", *MODULES}
        assert len(surface["modules"][""]) > 100
        assert len(surface["events"]) == 36


def test_every_difference_is_deliberate(ours: dict[str, Any], surfaces: dict[str, dict[str, Any]]) -> None:
    listed = {Difference(name, what) for name, what in DIFFERENT.items()}
    found = {each for surface in surfaces.values() for each in differences(surface, ours)}
    assert sorted(found - listed) == []
    assert sorted(listed - found) == [], "no difference any more"


def test_the_list_is_in_the_docs() -> None:
    text = (ROOT / "docs/dropin.md").read_text()
    begin, end = "<!-- differences:begin -->\n", "\n<!-- differences:end -->"
    assert text.split(begin)[1].split(end)[0] == table(), "run `python -m tests.compat.differences`"


def test_a_comparison_sees_what_is_missing_or_otherwise(ours: dict[str, Any]) -> None:
    def changed(change: Any) -> list[str]:
        other = json.loads(json.dumps(ours))
        change(other["modules"][""])
        return [f"{each.where}: {each.what}" for each in differences(ours, other)]

    def signature(names: dict[str, Any], member: str) -> list[dict[str, str]]:
        return names["Room"]["members"][member]["signature"]

    assert changed(lambda names: None) == []
    assert changed(lambda names: names.pop("AudioFrame")) == ["AudioFrame: missing"]
    assert changed(lambda names: names["Room"]["members"].pop("name")) == ["Room.name: missing"]
    assert changed(lambda names: names["TrackKind"]["values"].update(KIND_AUDIO=7)) == [
        "TrackKind.KIND_AUDIO: 1 there, 7 here"
    ]
    assert changed(lambda names: signature(names, "connect").reverse()) == ["Room.connect: called otherwise"]
    assert changed(lambda names: signature(names, "disconnect")[0].update(default="2")) == [
        "Room.disconnect: reason=1 there, 2 here"
    ]
    assert changed(
        lambda names: signature(names, "connect").append({"name": "x", "kind": "KEYWORD_ONLY", "default": ""})
    ) == ["Room.connect: needs x"]
    assert changed(lambda names: names["Room"]["members"]["connect"].update({"async": False})) == [
        "Room.connect: coroutine function there or here, not both"
    ]
    assert changed(lambda names: names["Room"]["members"]["name"].update(doc=False)) == ["Room.name: no documentation"]
