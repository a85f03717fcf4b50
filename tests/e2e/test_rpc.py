"""Calls between participants, ours and the official SDK's, both ways."""

# ruff: noqa: A002 - the official name of an argument

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import aiolivekit
from aiolivekit.enums import SimulateScenarioKind
from aiolivekit.signalling.join_request import CLIENT_PROTOCOL

from .sdk import DEADLINE, Sdk, meeting

pytestmark = pytest.mark.e2e

OURS = Sdk("ours", aiolivekit)


async def call(room: Any, to: str, method: str, payload: str, **more: Any) -> str:
    async with asyncio.timeout(2 * DEADLINE):
        answer = await room.local_participant.perform_rpc(
            destination_identity=to, method=method, payload=payload, **more
        )
    return str(answer)


async def failure(sdk: Sdk, room: Any, to: str, method: str, payload: str = "", **more: Any) -> Any:
    with pytest.raises(sdk.rtc.RpcError) as raised:
        await call(room, to, method, payload, **more)
    return raised.value


def serve(sdk: Sdk, room: Any) -> None:
    rpc_error = sdk.rtc.RpcError

    @room.local_participant.register_rpc_method("echo")
    async def echo(data: Any) -> str:
        await asyncio.sleep(0)
        return f"{data.caller_identity}: {data.payload}"

    @room.local_participant.register_rpc_method("fail")
    def fail(data: Any) -> str:
        raise rpc_error(42, "as asked", "details")

    def broken(data: Any) -> str:
        raise KeyError("not for others")

    room.local_participant.register_rpc_method("broken", broken)
    room.local_participant.register_rpc_method("large", lambda data: "x" * 15_361)


async def test_calls(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (
        alice,
        alice_events,
        bob,
        bob_events,
    ):
        serve(pair[0], alice)
        serve(pair[1], bob)
        for caller, room, callee in ((pair[0], alice, "bob"), (pair[1], bob, "alice")):
            await answers_and_errors(caller, room, callee)
            await large_payloads(caller, room, callee)
        await many_at_once(alice, bob)
        await interceptors(pair, alice, bob)
        await deadlines(pair[0], alice, bob)
        for _ in range(2):
            bob.local_participant.unregister_rpc_method("echo")
        error = await failure(pair[0], alice, "bob", "echo", "x")
        assert error.code == pair[0].rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
        # Nothing of all that is data for users.
        for events in (alice_events, bob_events):
            assert events.of("data_received") == []


async def answers_and_errors(caller: Sdk, room: Any, callee: str) -> None:
    me = room.local_participant.identity
    assert await call(room, callee, "echo", "grüße 🎉") == f"{me}: grüße 🎉"
    assert await call(room, callee, "echo", "") == f"{me}: "
    error = await failure(caller, room, callee, "fail")
    assert (error.code, error.message, error.data) == (42, "as asked", "details")
    codes = caller.rtc.RpcError.ErrorCode
    for method, code in (
        ("nobody registered", codes.UNSUPPORTED_METHOD),
        ("broken", codes.APPLICATION_ERROR),
    ):
        error = await failure(caller, room, callee, method)
        assert (error.code, error.message) == (code, caller.rtc.RpcError.ErrorMessage[code])


async def large_payloads(caller: Sdk, room: Any, callee: str) -> None:
    me = room.local_participant.identity
    largest = "ä" * ((15_360 - len(me)) // 2 - 1)
    assert await call(room, callee, "echo", largest) == f"{me}: {largest}"
    if CLIENT_PROTOCOL < 1:
        codes = caller.rtc.RpcError.ErrorCode
        error = await failure(caller, room, callee, "echo", "x" * 15_361)
        assert error.code == codes.REQUEST_PAYLOAD_TOO_LARGE
        error = await failure(caller, room, callee, "large")
        assert error.code == codes.RESPONSE_PAYLOAD_TOO_LARGE
    else:
        larger = "ä" * 10_000 + "".join(chr(0x1F300 + number) for number in range(200))
        assert await call(room, callee, "echo", larger) == f"{me}: {larger}"
        assert await call(room, callee, "large", "") == "x" * 15_361


async def many_at_once(alice: Any, bob: Any) -> None:
    answers = await asyncio.gather(
        *(call(alice, "bob", "echo", str(number)) for number in range(200)),
        *(call(bob, "alice", "echo", str(number)) for number in range(200)),
    )
    assert answers[:200] == [f"alice: {number}" for number in range(200)]
    assert answers[200:] == [f"bob: {number}" for number in range(200)]


async def interceptors(pair: tuple[Sdk, Sdk], alice: Any, bob: Any) -> None:
    log: list[str] = []

    def interceptor(sdk: Sdk, name: str) -> Any:
        class Noting(sdk.rtc.RpcInterceptor):  # type: ignore[misc, name-defined]
            async def intercept_outgoing(self, call: Any, next: Any) -> str:
                log.append(f"{name} calls {call.destination_identity}: {call.method}")
                call.payload += name
                return str(await next(call)) + name

            async def intercept_incoming(self, invocation: Any, next: Any) -> Any:
                log.append(f"{name} is called by {invocation.caller_identity}: {invocation.method}")
                return await next(invocation)

        return Noting()

    first, second, third = interceptor(pair[0], "1"), interceptor(pair[0], "2"), interceptor(pair[1], "3")
    for each in (first, second, first):
        alice.local_participant.add_rpc_interceptor(each)
    bob.local_participant.add_rpc_interceptor(third)
    assert await call(alice, "bob", "echo", "x") == "alice: x1221"
    assert log == ["1 calls bob: echo", "2 calls bob: echo", "3 is called by alice: echo"]
    alice.local_participant.remove_rpc_interceptor(first)
    assert await call(alice, "bob", "echo", "x") == "alice: x22"
    alice.local_participant.remove_rpc_interceptor(second)
    log.clear()
    await failure(pair[0], alice, "bob", "nobody registered")
    # The native part of the official SDK answers for methods it does not know.
    assert log == (["3 is called by alice: nobody registered"] if pair[1].is_ours else [])
    bob.local_participant.remove_rpc_interceptor(third)


async def deadlines(caller: Sdk, alice: Any, bob: Any) -> None:
    stopped: asyncio.Queue[Any] = asyncio.Queue()

    async def slow(data: Any) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.put_nowait(data.cancel_reason)
        return ""

    bob.local_participant.register_rpc_method("slow", slow)
    codes = caller.rtc.RpcError.ErrorCode
    error = await failure(caller, alice, "bob", "slow", response_timeout=0.2)
    assert (error.code, error.message) == (codes.RESPONSE_TIMEOUT, "Response timeout")
    error = await failure(caller, alice, "nobody", "slow", max_round_trip_latency=0.3)
    assert (error.code, error.message) == (codes.CONNECTION_TIMEOUT, "Connection timeout")
    # The handler had a second, and is stopped then.
    async with asyncio.timeout(DEADLINE):
        assert await stopped.get() == codes.RESPONSE_TIMEOUT


async def test_who_leaves_and_who_gives_up(livekit_server, livekit_token, pair: tuple[Sdk, Sdk], single: bool) -> None:
    if not pair[0].is_ours:
        pytest.skip("the official SDK waits for an answer of who has left")
    async with meeting(livekit_server.url, livekit_token, *pair, single=single) as (alice, _, bob, _events):
        codes = pair[0].rtc.RpcError.ErrorCode
        running = asyncio.Semaphore(0)

        async def slow(data: Any) -> str:
            running.release()
            await asyncio.sleep(60)
            return ""

        serve(pair[1], bob)
        bob.local_participant.register_rpc_method("slow", slow)
        calls = [asyncio.create_task(failure(pair[0], alice, "bob", "slow")) for _ in range(3)]
        given_up = asyncio.create_task(call(alice, "bob", "slow", ""))
        async with asyncio.timeout(DEADLINE):
            for _ in range(4):
                await running.acquire()
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert await call(alice, "bob", "echo", "x") == "alice: x"
        await bob.disconnect()
        assert [error.code for error in await asyncio.gather(*calls)] == [codes.RECIPIENT_DISCONNECTED] * 3
        late = asyncio.create_task(failure(pair[0], alice, "bob", "slow"))
        await asyncio.sleep(0)
        await alice.disconnect()
        assert (await late).code == codes.RECIPIENT_DISCONNECTED
        assert (await failure(pair[0], alice, "bob", "slow")).code == codes.SEND_FAILED


@pytest.mark.parametrize("scenario", ["SIGNAL_RECONNECT", "FULL_RECONNECT"])
async def test_a_call_goes_on_while_the_caller_reconnects(
    livekit_server, livekit_token, single: bool, scenario: str
) -> None:
    async with meeting(livekit_server.url, livekit_token, OURS, OURS, single=single) as (alice, events, bob, _events):
        answer, running = asyncio.Event(), asyncio.Event()

        async def slow(data: Any) -> str:
            running.set()
            await answer.wait()
            return data.payload

        bob.local_participant.register_rpc_method("slow", slow)
        under_way = asyncio.create_task(call(alice, "bob", "slow", "before"))
        async with asyncio.timeout(DEADLINE):
            await running.wait()
        await alice.simulate_scenario(SimulateScenarioKind[f"SIMULATE_{scenario}"])
        await events.wait("reconnecting")
        meanwhile = asyncio.create_task(call(alice, "bob", "slow", "meanwhile"))
        await events.wait("reconnected")
        answer.set()
        assert await asyncio.gather(under_way, meanwhile) == ["before", "meanwhile"]
        assert await call(alice, "bob", "slow", "behind") == "behind"
