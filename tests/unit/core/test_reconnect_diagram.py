from __future__ import annotations

from pathlib import Path

from aiolivekit.core.reconnect_table import TABLE, State, diagram

DESIGN = Path(__file__).parents[3] / "docs" / "design.md"


def test_the_design_shows_the_table_as_it_is() -> None:
    text = DESIGN.read_text(encoding="utf-8")
    shown = text.partition("<!-- reconnect:begin -->")[2].partition("<!-- reconnect:end -->")[0]
    assert shown.strip() == f"```mermaid\n{diagram()}\n```"


def test_every_transition_is_in_the_diagram() -> None:
    lines = diagram().splitlines()
    assert len(lines) == 3 + sum(len(row) for row in TABLE.values())
    for state in State:
        assert any(state.name.lower() in line for line in lines)
