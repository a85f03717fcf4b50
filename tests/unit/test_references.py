"""What the documents say stands for something is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("docs/seed-map.md", "docs/reference-tests.md")
FOLDERS = "unit|e2e|interop|engine|netns|server|plugin|data|room|core|session"
REFERENCE = re.compile(rf"`((?:{FOLDERS})/[\w/*]+(?:\.py)?)(?:::(\w+))?`")


def named() -> list[tuple[str, str]]:
    return [match for each in DOCUMENTS for match in REFERENCE.findall((ROOT / each).read_text())]


@pytest.mark.parametrize(("path", "test"), sorted(set(named())))
def test_what_is_named_is_there(path: str, test: str) -> None:
    files = [*(ROOT / "tests").glob(path), *(ROOT / "src" / "aiolivekit").glob(path)]
    assert files, path
    assert not test or any(re.search(rf"def {test}\b", each.read_text()) for each in files), test
