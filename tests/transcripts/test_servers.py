"""The quick part of `make transcripts`: no difference between the servers is left unexplained."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("livekit.api", reason="needs livekit-api")
pytest.importorskip("livekit.rtc", reason="needs the official Python SDK")
pytest.importorskip("pylibsrtp", reason="needs the extra [server]")

from transcripts.accepted import read_accepted
from transcripts.runner import play_all
from transcripts.scenarios import load
from transcripts.servers import dev_server, real_server

from transcripts import report

QUICK = (
    ("validate", "wire"),
    ("refused connections", "wire"),
    ("version 1", "wire"),
    ("pings", "wire"),
    ("publish audio", "official-dual"),
    ("publish audio", "ours-single"),
    ("change oneself refused", "official-single"),
    ("removed", "ours-dual"),
)


@pytest.mark.e2e
async def test_the_servers_say_the_same(server_binary: Path) -> None:
    scenarios = load()
    plays = [(scenarios[name], kit) for name, kit in QUICK]
    async with real_server(server_binary) as real, dev_server() as dev:
        results = await play_all(real, dev, plays, read_accepted())
    assert [(r.scenario, r.kit) for r in results] == list(QUICK)
    assert all(result.compared > 10 for result in results)
    wrong = [result for result in results if result.unexplained or result.failures]
    assert not wrong, report.details(wrong, [])
