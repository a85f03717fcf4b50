"""pipecat as its makers ship it, on ours: its LiveKit transport joins, hears, speaks, sends data, and leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .environment import PROJECT
from .partners import PARTNERS, Partner, Partners, hears, voice_of
from .running import SDKS, Program, Sdk

pytestmark = [pytest.mark.e2e, pytest.mark.peer]

BOT = PROJECT / "examples" / "pipecat_bot.py"


def _case(sdk: Sdk, partner: Partner) -> Any:
    stands_for_all = (sdk, partner) == ("ours", "official")
    return pytest.param(sdk, partner, marks=() if stands_for_all else (pytest.mark.compat_long,), id=f"{sdk}-{partner}")


@pytest.mark.parametrize(("sdk", "partner"), [_case(sdk, partner) for sdk in SDKS for partner in PARTNERS])
async def test_a_parrot(pipecat_python: Path, partners: Partners, sdk: Sdk, partner: Partner) -> None:
    server = partners.server
    environment = {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_ROOM": partners.room,
        "LIVEKIT_TOKEN": server.token("bot", room=partners.room),
        "LOGURU_LEVEL": "INFO",
    }
    async with Program(pipecat_python, str(BOT), sdk=sdk, environment=environment) as bot:
        # It speaks from the beginning on, so it is known before anything is said.
        await bot.line(f"Connected to {partners.room}")
        ada = await partners.join(partner)
        # It joins, and has a voice.
        voice = await voice_of(ada, "bot")
        greeting = await ada.events.wait("data_received", identity="bot")
        assert json.loads(greeting["data"]) == {"greeting": "Hello, ada!"}
        # What is said is said back; what is asked is answered.
        await ada.publish_tone(440)
        await hears(ada, voice["sid"], 440)
        mark = ada.events.mark
        await ada.send_data(b'{"question": 7}')
        answer = await ada.events.wait("data_received", since=mark, identity="bot")
        assert json.loads(answer["data"]) == {"got": {"question": 7}}
        # It leaves when nobody is there any more, and its program ends by itself.
        await ada.leave()
        await bot.line("ada left")
        await bot.line("the end")
        assert await bot.ended() == 0
