"""livekit-agents as its makers ship it, on ours: the voice agent of the examples talks with other people's clients."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .agents import voice_agent
from .partners import PARTNERS, Partner, Partners, hears, say, voice_of
from .running import SDKS, Sdk

pytestmark = [pytest.mark.e2e, pytest.mark.peer]

TRANSCRIPTION = "lk.transcription"
CHAT = "lk.chat"


def _case(sdk: Sdk, partner: Partner, jobs: str) -> Any:
    # Agents run jobs in processes of their own if nothing is said, and most who talk with them use a browser.
    stands_for_all = (sdk, partner, jobs) == ("ours", "browser", "process")
    marks = () if stands_for_all else (pytest.mark.compat_long,)
    return pytest.param(sdk, partner, jobs, marks=marks, id=f"{sdk}-{partner}-{jobs}")


CASES = [_case(sdk, partner, jobs) for sdk in SDKS for partner in PARTNERS for jobs in ("process", "thread")]


@pytest.mark.parametrize(("sdk", "partner", "jobs"), CASES)
async def test_a_conversation(agents_python: Path, partners: Partners, sdk: Sdk, partner: Partner, jobs: str) -> None:
    async with voice_agent(agents_python, partners, sdk=sdk, jobs=jobs) as worker:
        try:
            await converse(partners, partner)
        except BaseException:
            print(worker.words)
            raise


async def converse(partners: Partners, partner: Partner) -> None:
    ada = await partners.join(partner)
    await ada.receive_streams(TRANSCRIPTION)
    await partners.dispatch(partners.room)
    voice = await voice_of(ada)
    agent, sid = voice["identity"], voice["sid"]

    async def told(text: str, of: str) -> None:
        await ada.events.until(
            lambda: any(
                event["text"].strip() == text and event["identity"] == of
                for event in ada.events.of("text_received", topic=TRANSCRIPTION)
            ),
            lambda: f"the transcription {text!r}",
        )

    # It greets; and is heard, and read.
    await hears(ada, sid, 750)
    await told("Hello, I am at 500.", agent)
    # It hears, and answers; what it heard is told too, in the speaker's name.
    listening = asyncio.create_task(hears(ada, sid, 660))
    await say(ada, 440)
    await listening
    await told("I heard 440 hertz.", agent)
    # It is written to.
    listening = asyncio.create_task(hears(ada, sid, 1200))
    await ada.send_text("number 800", topic=CHAT)
    await listening
    # It is asked, in both ways.
    assert await ada.perform_rpc(agent, "state", "") in ("ada: speaking", "ada: listening")
    await ada.send_data(b"a question", topic="question", to=[agent])
    answer = await ada.events.wait("data_received", topic="answer")
    assert (answer["identity"], answer["data"]) == (agent, b"got a question")
