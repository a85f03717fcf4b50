"""The driver of calls, two of them with a link between."""

# ruff: noqa: A002 - the official name of an argument

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from livekit.protocol import models

from aiolivekit.core import rpc as core
from aiolivekit.core.rpc_error import RpcError
from aiolivekit.data.rpc_chain import RpcCallInfo, RpcInterceptor, RpcInvocationData
from aiolivekit.errors import ClosedError, PacketTooLargeError

from .rpc_link import Side, pair

CODE = RpcError.ErrorCode
BIG = "ä" * 20_000


async def echo(data: RpcInvocationData) -> str:
    await asyncio.sleep(0)
    return f"{data.caller_identity}: {data.payload}"


async def fails(call: Any) -> RpcError:
    with pytest.raises(RpcError) as raised:
        await call
    return raised.value


def served(bob: Side, handler: Any = echo) -> None:
    bob.handlers["say"] = handler


# -- calls that succeed --


@pytest.mark.parametrize("streams", [False, True])
async def test_echo(streams: bool) -> None:
    async with pair(streams=streams, protocol=2 if streams else 0) as (alice, bob):
        served(bob)
        assert await alice.call("bob", "say", "grüße 🎉") == "alice: grüße 🎉"
        assert alice.sent == (["lk.rpc_request"] if streams else ["rpc_request"])
        # What fits goes as a packet: callers take it, however the request came.
        assert bob.sent == ["rpc_ack", "rpc_response"]
        bob.handlers["sync"] = lambda data: data.payload.upper()
        assert await alice.call("bob", "sync", "x") == "X"
        bob.handlers["nothing"] = lambda data: None
        assert await alice.call("bob", "nothing", "x") == ""


@pytest.mark.parametrize("streams", [False, True])
async def test_what_the_handler_gets(streams: bool) -> None:
    async with pair(streams=streams, protocol=1 if streams else 0) as (alice, bob):
        seen: list[RpcInvocationData] = []
        served(bob, lambda data: seen.append(data))
        await alice.call("bob", "say", "hello")
        await alice.call("bob", "say", "hello", response_timeout=20.0, max_round_trip_latency=2.0)
        await alice.call("bob", "say", "hello", response_timeout=0.5)
        assert [(each.caller_identity, each.payload, each.method) for each in seen] == [("alice", "hello", "say")] * 3
        assert [each.response_timeout for each in seen] == [8.0, 18.0, 1.0]
        assert len({each.request_id for each in seen}) == 3
        assert [each.cancel_reason for each in seen] == [None] * 3


async def test_hundreds_at_once_each_get_their_own_answer() -> None:
    async with pair() as (alice, bob):
        gate = asyncio.Event()

        async def answer(data: RpcInvocationData) -> str:
            await gate.wait()
            return data.payload

        served(bob, answer)
        calls = [asyncio.create_task(alice.call("bob", "say", str(number))) for number in range(500)]
        while len(bob.rpc._handling._callee) < 500:
            await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*calls) == [str(number) for number in range(500)]


async def test_version_is_the_recipients() -> None:
    async with pair(streams=True, protocol=0) as (alice, bob):
        served(bob)
        assert (await fails(alice.call("bob", "say", "x" * 15_361))).code == CODE.REQUEST_PAYLOAD_TOO_LARGE
        assert alice.sent == []
        bob.protocol = 1
        alice.protocol = 2
        assert await alice.call("bob", "say", BIG) == f"alice: {BIG}"
        assert (alice.sent, bob.sent) == (["lk.rpc_request"], ["rpc_ack", "lk.rpc_response"])


async def test_payload_limits_of_version_1_count_bytes() -> None:
    async with pair() as (alice, bob):
        served(bob, lambda data: data.payload)
        full = "ä" * 7_680
        assert await alice.call("bob", "say", full) == full
        assert (await fails(alice.call("bob", "say", full + "x"))).code == CODE.REQUEST_PAYLOAD_TOO_LARGE
        served(bob, lambda data: full + "x")
        assert (await fails(alice.call("bob", "say"))).code == CODE.RESPONSE_PAYLOAD_TOO_LARGE


async def test_a_large_answer_to_a_packet_goes_as_a_stream_if_the_caller_understands_it() -> None:
    async with pair(streams=True, protocol=0) as (alice, bob):
        served(bob, lambda data: BIG)
        assert (await fails(alice.call("bob", "say"))).code == CODE.RESPONSE_PAYLOAD_TOO_LARGE
        alice.protocol = 1
        assert await alice.call("bob", "say") == BIG
        assert bob.sent[-1] == "lk.rpc_response"


# -- calls that fail --


@pytest.mark.parametrize("streams", [False, True])
async def test_errors_of_the_callee(streams: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with pair(streams=streams, protocol=2 if streams else 0) as (alice, bob):
        error = await fails(alice.call("bob", "sing"))
        assert (error.code, error.message) == (CODE.UNSUPPORTED_METHOD, "Method not supported at destination")

        async def refuse(data: RpcInvocationData) -> str:
            raise RpcError(42, "m" * 300, "details")

        served(bob, refuse)
        error = await fails(alice.call("bob", "say"))
        assert (error.code, error.message, error.data) == (42, "m" * 256, "details")

        def broken(data: RpcInvocationData) -> str:
            raise RuntimeError("not for others")

        for handler in (broken, lambda data: 5, lambda data: "\ud800"):
            served(bob, handler)
            caplog.clear()
            error = await fails(alice.call("bob", "say"))
            assert (error.code, error.data) == (CODE.APPLICATION_ERROR, None)
            assert len(caplog.records) == 1
        # Errors always come as packets.
        assert set(bob.sent) == {"rpc_ack", "rpc_response"}


async def test_an_error_that_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (alice, bob):
        for error in (RpcError(-1, "words"), RpcError(1, None), RpcError("1", "words")):  # type: ignore[arg-type]

            def refuse(data: RpcInvocationData, error: RpcError = error) -> str:
                raise error

            served(bob, refuse)
            assert (await fails(alice.call("bob", "say"))).code == CODE.APPLICATION_ERROR


async def test_a_handler_that_cancels_itself_is_answered() -> None:
    async with pair() as (alice, bob):

        async def give_up(data: RpcInvocationData) -> str:
            raise asyncio.CancelledError

        def give_up_at_once(data: RpcInvocationData) -> str:
            raise asyncio.CancelledError

        for handler in (give_up, give_up_at_once):
            served(bob, handler)
            assert (await fails(alice.call("bob", "say"))).code == CODE.APPLICATION_ERROR


async def test_nobody_and_oneself() -> None:
    async with pair() as (alice, _bob):
        for who in ("", "alice"):
            assert (await fails(alice.call(who, "say"))).code == CODE.RECIPIENT_NOT_FOUND


async def test_an_old_server() -> None:
    async with pair(server_version="1.7.2") as (alice, _bob):
        assert (await fails(alice.call("bob", "say"))).code == CODE.UNSUPPORTED_SERVER


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"payload": b"bytes"}, TypeError),
        ({"payload": "\ud800"}, UnicodeEncodeError),
        ({"payload": "", "response_timeout": 0}, ValueError),
        ({"payload": "", "max_round_trip_latency": float("nan")}, ValueError),
    ],
)
async def test_bad_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    async with pair() as (alice, _bob):
        with pytest.raises(error):
            await alice.call("bob", "say", **arguments)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_request_that_cannot_be_sent(streams: bool) -> None:
    async with pair(streams=streams, protocol=2) as (alice, bob):
        alice.refusal = PacketTooLargeError(70_000, 64_000)
        error = await fails(alice.call("bob", "say"))
        assert (error.code, error.data) == (CODE.SEND_FAILED, str(alice.refusal))
        assert error.__cause__ is alice.refusal


async def test_an_answer_that_cannot_be_sent_is_counted() -> None:
    async with pair() as (alice, bob):
        served(bob)
        bob.refusal = ClosedError("gone")
        with pytest.raises(RpcError, match="Connection timeout"):
            await alice.call("bob", "say", max_round_trip_latency=0.05)
        assert bob.rpc.unsent == 2


async def test_a_streamed_answer_that_cannot_be_sent_becomes_an_error() -> None:
    async with pair(streams=True, protocol=2) as (alice, bob):
        served(bob, lambda data: BIG)

        async def refuse(*args: Any, **more: Any) -> None:
            raise PacketTooLargeError(2, 1)

        bob.send_text = refuse  # type: ignore[method-assign]
        assert (await fails(alice.call("bob", "say"))).code == CODE.SEND_FAILED


# -- time --


async def test_nobody_acknowledges() -> None:
    async with pair() as (alice, bob):
        bob.deaf = True
        error = await fails(alice.call("bob", "say", max_round_trip_latency=0.02))
        assert (error.code, error.message) == (CODE.CONNECTION_TIMEOUT, "Connection timeout")


async def test_nobody_answers() -> None:
    async with pair() as (alice, bob):
        served(bob, lambda data: asyncio.sleep(60))
        error = await fails(alice.call("bob", "say", response_timeout=0.02))
        assert (error.code, error.message) == (CODE.RESPONSE_TIMEOUT, "Response timeout")
        # Ours is bounded by what the caller gave it, which is a second at least.
        assert len(bob.rpc._handling._callee) == 1


async def test_the_handlers_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MIN_HANDLER_TIME", 0.03)
    async with pair() as (alice, bob):
        outcome: list[Any] = []

        async def slow(data: RpcInvocationData) -> str:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                outcome.append(data.cancel_reason)
                raise
            return ""

        served(bob, slow)
        error = await fails(alice.call("bob", "say", response_timeout=5.0))
        assert error.code == CODE.RESPONSE_TIMEOUT
        assert outcome == [CODE.RESPONSE_TIMEOUT]
        assert bob.sent == ["rpc_ack", "rpc_response"]


async def test_no_time_given_is_the_default_time() -> None:
    async with pair() as (alice, bob):
        seen: list[float] = []
        served(bob, lambda data: seen.append(data.response_timeout))
        bob.rpc.on_request("alice", "1", "say", "", 0.0, 1)
        assert seen == [15.0]


# -- the other one, the room, and the caller itself go away --


@pytest.mark.parametrize("streams", [False, True])
async def test_the_other_one_leaves(streams: bool) -> None:
    async with pair(streams=streams, protocol=2) as (alice, bob):
        served(bob, lambda data: asyncio.sleep(60))
        call = asyncio.create_task(alice.call("bob", "say"))
        while not bob.sent:
            await asyncio.sleep(0)
        alice.rpc.left("carol")
        assert not call.done()
        alice.rpc.left("bob")
        error = await fails(call)
        assert (error.code, error.data) == (CODE.RECIPIENT_DISCONNECTED, "the participant has left the room")


@pytest.mark.parametrize("streams", [False, True])
async def test_the_other_one_leaves_while_the_request_waits_for_room(streams: bool) -> None:
    async with pair(streams=streams, protocol=2) as (alice, bob):
        alice.gate = asyncio.Event()
        call = asyncio.create_task(alice.call("bob", "say"))
        await asyncio.sleep(0)
        alice.rpc.left("bob")
        assert (await fails(call)).code == CODE.RECIPIENT_DISCONNECTED
        alice.gate.set()
        await asyncio.sleep(0)
        assert alice.sent == []


async def test_who_is_back_after_a_restart_never_left() -> None:
    async with pair() as (alice, bob):
        alice.others["carol"] = bob
        served(bob, lambda data: asyncio.sleep(60))
        staying = asyncio.create_task(alice.call("bob", "say"))
        leaving = asyncio.create_task(alice.call("carol", "say"))
        while len(bob.sent) < 2:
            await asyncio.sleep(0)
        with alice.rpc.rejoining(lambda: ["bob"]):
            alice.rpc.left("bob")
            alice.rpc.left("carol")
            await asyncio.sleep(0)
            assert not staying.done()
            assert not leaving.done()
        assert (await fails(leaving)).code == CODE.RECIPIENT_DISCONNECTED
        assert not staying.done()
        alice.rpc.left("bob")
        await fails(staying)


async def test_the_room_closes() -> None:
    async with pair() as (alice, bob):
        cancelled: list[Any] = []

        async def slow(data: RpcInvocationData) -> str:
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.append(data.cancel_reason)
            return ""

        served(bob, slow)
        calls = [asyncio.create_task(alice.call("bob", "say")) for _ in range(3)]
        while len(bob.sent) < 3:
            await asyncio.sleep(0)
        bob.rpc.close()
        await bob.rpc.aclose()
        assert cancelled == [CODE.RECIPIENT_DISCONNECTED] * 3
        assert [(await fails(call)).code for call in calls] == [CODE.RECIPIENT_DISCONNECTED] * 3
        bob.rpc.on_request("alice", "late", "say", "", 5, 1)
        assert len(bob.rpc._handling._callee) == 0
        again = asyncio.create_task(alice.call("bob", "say"))
        await asyncio.sleep(0)
        alice.rpc.close()
        alice.rpc.close()
        error = await fails(again)
        assert (error.code, error.data) == (CODE.RECIPIENT_DISCONNECTED, "the room was disconnected")
        assert (await fails(alice.call("bob", "say"))).code == CODE.SEND_FAILED


async def test_a_handler_may_close_the_room_it_answers_in() -> None:
    async with pair() as (alice, bob):
        done = asyncio.Event()

        async def leave(data: RpcInvocationData) -> str:
            await asyncio.sleep(0)
            bob.rpc.close()
            await bob.rpc.aclose()
            await asyncio.sleep(0)
            done.set()
            return ""

        served(bob, leave)
        assert (await fails(alice.call("bob", "say"))).code == CODE.RECIPIENT_DISCONNECTED
        async with asyncio.timeout(5):
            await done.wait()


async def test_a_handler_that_ignores_its_cancellation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aiolivekit.data.rpc_handling.UNWIND_TIME", 0.02)
    async with pair() as (alice, bob):
        end = asyncio.Event()

        async def stubborn(data: RpcInvocationData) -> str:
            while not end.is_set():
                try:
                    await end.wait()
                except asyncio.CancelledError:
                    continue
            return ""

        served(bob, stubborn)
        call = asyncio.create_task(alice.call("bob", "say"))
        while not bob.sent:
            await asyncio.sleep(0)
        bob.rpc.close()
        await bob.rpc.aclose()
        assert "does not end though cancelled" in caplog.text
        assert (await fails(call)).code == CODE.RECIPIENT_DISCONNECTED
        end.set()
        while bob.rpc._handling._tasks:
            await asyncio.sleep(0)


async def test_a_call_may_be_cancelled_at_any_step() -> None:
    for steps in range(12):
        async with pair(streams=bool(steps % 2), protocol=2) as (alice, bob):
            served(bob)
            if steps > 5:
                alice.gate = asyncio.Event()
            call = asyncio.create_task(alice.call("bob", "say"))
            for _ in range(steps % 6):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert len(alice.rpc._calls) == 0
            alice.gate = None
            assert await alice.call("bob", "say", "next") == "alice: next"


async def test_cancelled_in_the_step_in_which_it_fails() -> None:
    async with pair() as (alice, bob):
        call = asyncio.create_task(alice.call("bob", "say"))
        await asyncio.sleep(0)
        alice.rpc.left("bob")
        call.cancel()
        # Warnings are errors: an exception that nobody looked at would be one.
        await asyncio.gather(call, return_exceptions=True)


# -- strangers --


async def test_what_strangers_send(caplog: pytest.LogCaptureFixture) -> None:
    async with pair(streams=True, protocol=2) as (alice, bob):
        served(bob, lambda data: asyncio.sleep(60))
        bob.rpc.on_ack("eve", "no such call")
        bob.rpc.on_response("eve", "no such call", "x", None)
        bob.rpc.on_response("eve", "", None, models.RpcError(code=1))
        assert bob.rpc._calls.stray == 3
        bob.rpc.on_request("eve", "", "say", "", 1, 1)
        take, _ = bob.topics["lk.rpc_request"]
        take("eve", {}, "x")
        take("alice", {"lk.rpc_request_id": "7"}, "x")
        assert bob.rpc.malformed == 3
        [packet] = bob.packets
        assert packet.rpc_response.error.code == CODE.APPLICATION_ERROR
        # Twice the same request is one.
        bob.rpc.on_request("alice", "8", "say", "", 1, 1)
        bob.rpc.on_request("alice", "8", "say", "", 1, 1)
        assert (len(bob.rpc._handling._callee), bob.rpc._handling._callee.duplicates) == (1, 1)
        for version, streamed in ((2, False), (1, True), (0, False), (7, True)):
            bob.packets.clear()
            attributes = {
                "lk.rpc_request_id": "9",
                "lk.rpc_request_method": "say",
                "lk.rpc_request_response_timeout_ms": "1000",
                "lk.rpc_request_version": str(version),
            }
            if streamed:
                take("alice", attributes, "x")
            else:
                bob.rpc.on_request("alice", "9", "say", "x", 1, version)
            ack, error = bob.packets
            assert ack.rpc_ack.request_id == "9"
            assert error.rpc_response.error.code == CODE.UNSUPPORTED_VERSION
        assert caplog.records == []


async def test_what_a_stranger_may_make_us_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pair() as (alice, bob):
        served(bob, lambda data: asyncio.sleep(60))
        for number in range(core.MAX_INVOCATIONS_OF_ONE + 5):
            bob.rpc.on_request("eve", str(number), "say", "", 1, 1)
        assert len(bob.rpc._handling._callee) == core.MAX_INVOCATIONS_OF_ONE
        refused = [packet.rpc_response.error for packet in bob.packets if packet.WhichOneof("value") == "rpc_response"]
        assert [(error.code, error.data) for error in refused] == [
            (CODE.APPLICATION_ERROR, "too many calls are being handled")
        ] * 5
        bob.handlers["quick"] = lambda data: "x"
        assert await alice.call("bob", "quick") == "x"


async def test_the_server_calls() -> None:
    async with pair() as (_alice, bob):
        served(bob, lambda data: data.payload)
        # Its identity is the id of the call; it takes the answer out of the packets to that identity.
        bob.rpc.on_request("id", "id", "say", "x", 1, 1)
        ack, response = bob.packets
        assert ack.destination_identities == response.destination_identities == ["id"]
        assert response.rpc_response.payload == "x"


# -- interceptors --


class Noting(RpcInterceptor):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def intercept_outgoing(self, call: RpcCallInfo, next: Any) -> str:
        self.log.append(f"{self.name} calls {call.method}")
        try:
            return f"{self.name}({await next(RpcCallInfo(**{**vars(call), 'payload': call.payload + self.name}))})"
        except RpcError as error:
            self.log.append(f"{self.name} sees {error.code}")
            raise

    async def intercept_incoming(self, invocation: RpcInvocationData, next: Any) -> str | None:
        self.log.append(f"{self.name} is called {invocation.method}")
        try:
            return await next(invocation)
        except BaseException as error:
            self.log.append(f"{self.name} sees {type(error).__name__} {invocation.cancel_reason}")
            raise


async def test_interceptors_from_the_outside_in(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (alice, bob):
        log: list[str] = []
        served(bob)
        alice.interceptors.extend([Noting("a", log), Noting("b", log)])
        bob.interceptors.extend([Noting("c", log), Noting("d", log)])
        assert await alice.call("bob", "say", "x") == "a(b(alice: xab))"
        assert log == ["a calls say", "b calls say", "c is called say", "d is called say"]
        log.clear()
        assert (await fails(alice.call("bob", "sing"))).code == CODE.UNSUPPORTED_METHOD
        assert log[2:] == [
            "c is called sing",
            "d is called sing",
            "d sees RpcError None",
            "c sees RpcError None",
            "b sees 1400",
            "a sees 1400",
        ]
        log.clear()

        def broken(data: RpcInvocationData) -> str:
            raise KeyError("x")

        served(bob, broken)
        assert (await fails(alice.call("bob", "say"))).code == CODE.APPLICATION_ERROR
        assert log[4:6] == ["d sees KeyError None", "c sees KeyError None"]


async def test_an_interceptor_may_step_in() -> None:
    async with pair() as (alice, bob):

        class Cache(RpcInterceptor):
            async def intercept_outgoing(self, call: RpcCallInfo, next: Any) -> str:
                return "known"

        class Guard(RpcInterceptor):
            def intercept_incoming(self, invocation: RpcInvocationData, next: Any) -> Any:
                raise RpcError(403, "not you")

        bob.interceptors.append(Guard())
        assert (await fails(alice.call("bob", "say"))).code == 403
        alice.interceptors.append(Cache())
        assert await alice.call("bob", "say") == "known"
        assert len(alice.sent) == 1


async def test_interceptors_see_why_they_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MIN_HANDLER_TIME", 0.03)
    async with pair() as (alice, bob):
        log: list[str] = []
        bob.interceptors.append(Noting("c", log))
        served(bob, lambda data: asyncio.sleep(60))
        assert (await fails(alice.call("bob", "say", response_timeout=5))).code == CODE.RESPONSE_TIMEOUT
        assert log == ["c is called say", f"c sees CancelledError {CODE.RESPONSE_TIMEOUT}"]


async def test_nothing_of_a_payload_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (alice, bob):
        served(bob)
        with caplog.at_level(logging.DEBUG):
            await alice.call("bob", "say", "secret")
            await fails(alice.call("bob", "sing", "secret"))
        assert "secret" not in caplog.text
