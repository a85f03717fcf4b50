"""The list of regions over the wire: from a server on loopback that has one, or something else instead."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from aiolivekit.core.regions import DEFAULT_LIFETIME
from aiolivekit.options import SignalOptions
from aiolivekit.signalling import regions as module
from aiolivekit.signalling.regions import RegionList, has_regions, usable_regions

from ...leaks import no_leaks
from .servers import DEADLINE, TOKEN, SignalServer

OPTIONS = SignalOptions()
BODY = {"regions": [{"url": "wss://far.test", "distance": "9"}, {"url": "wss://near.test", "distance": "1"}]}
READ = ("wss://near.test", "wss://far.test")


def server(answer: Any) -> SignalServer:
    return SignalServer(answer=answer)


def listing(**headers: str) -> SignalServer:
    return server(lambda _request: web.json_response(BODY, headers=headers))


@pytest.mark.parametrize(
    ("headers", "lifetime"), [({}, DEFAULT_LIFETIME), ({"Cache-Control": "private, max-age=300"}, 300.0)]
)
async def test_a_list_is_asked_for_once_and_kept(headers: dict[str, str], lifetime: float) -> None:
    async with no_leaks(), listing(**headers).running() as there:
        known = RegionList()
        assert await known.get(there.url, TOKEN, OPTIONS) == (READ, lifetime)
        again, left = await known.get(there.url + "/a/prefix?and=query", TOKEN, OPTIONS)
        # The list is at the root of the host, whatever comes behind it.
        assert again == READ
        assert left <= lifetime
        (request,) = there.requests
        assert (request.path, request.query_string) == ("/settings/regions", "")
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"


async def test_a_list_that_is_good_for_no_time_is_asked_for_again_and_the_old_one_used_if_that_fails() -> None:
    answers = [web.json_response(BODY, headers={"Cache-Control": "max-age=0"}), web.Response(status=503)]
    async with no_leaks(), server(lambda _request: answers.pop(0)).running() as there:
        known = RegionList()
        assert await known.get(there.url, TOKEN, OPTIONS) == (READ, 0.0)
        assert await known.get(there.url, TOKEN, OPTIONS) == (READ, DEFAULT_LIFETIME)
        assert answers == []


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=401, text="no"),
        web.Response(status=404),
        web.Response(status=302, headers={"Location": "http://elsewhere.test/settings/regions"}),
        web.Response(text="<html>"),
        web.Response(text='{"regions": 1}'),
        web.Response(body=b'{"regions": [' + b" " * 70_000),
    ],
    ids=["unauthorised", "missing", "redirect", "html", "no list", "endless"],
)
async def test_what_is_no_list_is_none_and_raises_nothing(answer: web.Response) -> None:
    async with no_leaks(), server(lambda _request: answer).running() as there:
        assert await RegionList().get(there.url, TOKEN, OPTIONS) == ((), DEFAULT_LIFETIME)
        assert there.paths == ["/settings/regions"]


async def test_nobody_there_and_a_token_that_is_none() -> None:
    async with no_leaks():
        assert await RegionList().get("ws://127.0.0.1:9", TOKEN, OPTIONS) == ((), DEFAULT_LIFETIME)
        assert await RegionList().get("ws://127.0.0.1:9", "", OPTIONS) == ((), DEFAULT_LIFETIME)


async def test_a_server_that_keeps_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REGIONS_TIMEOUT", 0.1)
    asked = asyncio.Event()
    release = asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        asked.set()
        await release.wait()
        return web.Response()

    async with no_leaks(), _handling(silent) as url:
        assert await RegionList().get(url, TOKEN, OPTIONS) == ((), DEFAULT_LIFETIME)
        assert asked.is_set()
        release.set()


async def test_those_who_ask_at_once_ask_once_and_the_last_to_go_stops_it() -> None:
    asked = asyncio.Queue[None]()
    release = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        asked.put_nowait(None)
        await release.wait()
        return web.json_response(BODY)

    async with no_leaks(), _handling(slow) as url, asyncio.timeout(DEADLINE):
        known = RegionList()
        first, second, third = (asyncio.create_task(known.get(url, TOKEN, OPTIONS)) for _ in range(3))
        await asked.get()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        assert await second == await third == (READ, DEFAULT_LIFETIME)
        assert asked.empty()
        release.clear()
        other = RegionList()
        alone = asyncio.create_task(other.get(url, TOKEN, OPTIONS))
        await asked.get()
        alone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await alone
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "aiolivekit-regions"]
        release.set()
        # And the next one asks anew.
        assert await other.get(url, TOKEN, OPTIONS) == (READ, DEFAULT_LIFETIME)


async def test_there_is_one_for_each_loop() -> None:
    assert RegionList.of_loop() is RegionList.of_loop()
    here = RegionList.of_loop()
    there = await asyncio.to_thread(lambda: asyncio.run(_list_of_a_loop()))
    assert there is not here
    del there
    gc.collect()
    assert len(RegionList._of_loops) == 1


async def _list_of_a_loop() -> RegionList:
    return RegionList.of_loop()


def test_only_cloud_hosts_have_a_list_unless_the_options_say_otherwise() -> None:
    assert has_regions("wss://my.livekit.cloud", OPTIONS)
    assert has_regions("https://my.livekit.run:443/x", OPTIONS)
    assert not has_regions("wss://livekit.example", OPTIONS)
    assert not has_regions("no url", OPTIONS)
    mine = SignalOptions(has_regions=lambda host: host == "livekit.example")
    assert has_regions("wss://livekit.example", mine)
    assert not has_regions("wss://my.livekit.cloud", mine)


def test_a_token_goes_where_the_server_says_but_not_in_the_clear() -> None:
    told = ("wss://a.test", "ws://b.test", "https://named.test/", "", "nonsense", "wss://u:p@c.test", "wss://a.test")
    assert usable_regions("wss://named.test", told) == ("wss://a.test", "wss://named.test")
    assert usable_regions("ws://127.0.0.1:1", ("ws://127.0.0.1:2", "wss://a.test")) == (
        "ws://127.0.0.1:2",
        "wss://a.test",
    )


@asynccontextmanager
async def _handling(handler: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/settings/regions", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"ws://{host}:{port}"
    finally:
        await runner.cleanup()
