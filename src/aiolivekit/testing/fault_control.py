"""The faults of an embedded server, for a test on another thread.

The methods are those of `aiolivekit.server.Faults`, carried over to the server's loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..server.fault import Fault, Fired, Hold
from ..server.faults import Faults
from ..server.packet_faults import PacketFault

__all__ = ["FaultControl", "FaultHandle"]

P = ParamSpec("P")
T = TypeVar("T")

_GLANCE = 0.005
"""Seconds between looks at what nobody is woken for."""

_Call = Callable[[Callable[[], Any]], Any]
_Submit = Callable[[Coroutine[Any, Any, Any]], "Future[Any]"]


class FaultHandle:
    """A fault that was installed.

    Args:
        control: The faults it belongs to.
        fault: The fault itself, on the server's loop.
    """

    def __init__(self, control: FaultControl, fault: Fault | PacketFault) -> None:
        self._control = control
        self._fault = fault

    @property
    def name(self) -> str:
        """The method that installed it."""
        return self._fault.name

    @property
    def fired(self) -> int:
        """How often it has fired."""
        return self._fault.fired

    @property
    def seen(self) -> int:
        """How many matching events there were."""
        return self._fault.seen

    @property
    def spent(self) -> bool:
        """Whether it will not fire again."""
        return self._fault.spent

    def lift(self) -> None:
        """Remove it."""
        self._control.call(self._fault.lift)

    def release(self) -> None:
        """Send what a hold held, in order, and hold no more.

        Raises:
            TypeError: If it is no hold.
        """
        fault = self._fault
        if not isinstance(fault, Hold):
            raise TypeError(f"{fault.name} holds nothing")
        self._control.call(fault.release)

    async def wait_fired(self, times: int = 1, timeout: float = 10.0) -> None:
        """Wait on the caller's event loop until it has fired that often; raises `TimeoutError`."""
        await asyncio.wrap_future(self._control.submit(_fired(self._fault, times, timeout)))

    def wait_fired_blocking(self, times: int = 1, timeout: float = 10.0) -> None:
        """The same for a test without an event loop."""
        self._control.submit(_fired(self._fault, times, timeout)).result(timeout + 5.0)

    def __repr__(self) -> str:
        return f"<{self.name}: fired {self.fired} times>"


async def _fired(fault: Fault | PacketFault, times: int, timeout: float) -> None:
    if isinstance(fault, Fault):
        await fault.wait_fired(times, timeout)
        return
    async with asyncio.timeout(timeout):
        # Packets come by the thousand, and nobody is woken for each.
        while fault.fired < times:  # noqa: ASYNC110
            await asyncio.sleep(_GLANCE)


def _installs(
    method: Callable[Concatenate[Faults, P], Fault | PacketFault],
) -> Callable[Concatenate[FaultControl, P], FaultHandle]:
    @functools.wraps(method)
    def install(self: FaultControl, /, *args: P.args, **kwargs: P.kwargs) -> FaultHandle:
        return FaultHandle(self, self.call(lambda: method(self.faults, *args, **kwargs)))

    return install


def _does(method: Callable[Concatenate[Faults, P], T]) -> Callable[Concatenate[FaultControl, P], T]:
    @functools.wraps(method)
    def do(self: FaultControl, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self.call(lambda: method(self.faults, *args, **kwargs))
        return result

    return do


class FaultControl:
    """What may be made to go wrong in an embedded server.

    Args:
        call: Runs a function on the server's loop.
        submit: Runs a coroutine there.
        faults: The faults themselves.
    """

    def __init__(self, call: _Call, submit: _Submit, faults: Faults) -> None:
        self.call = call
        self.submit = submit
        self.faults = faults

    @property
    def log(self) -> list[Fired]:
        """Everything that fired, in order."""
        return list(self.faults.log)

    fired = _does(Faults.fired)
    clear = _does(Faults.clear)

    drop_signal = _installs(Faults.drop_signal)
    hold = _installs(Faults.hold)
    close_before = _installs(Faults.close_before)
    close_after = _installs(Faults.close_after)
    no_pong = _installs(Faults.no_pong)
    unknown_first_message = _installs(Faults.unknown_first_message)
    refuse_resume = _installs(Faults.refuse_resume)
    refuse_join = _installs(Faults.refuse_join)
    expire_token = _installs(Faults.expire_token)
    drop_packets = _installs(Faults.drop_packets)
    blackout = _installs(Faults.blackout)
    delay_packets = _installs(Faults.delay_packets)
    duplicate_packets = _installs(Faults.duplicate_packets)
    reorder_packets = _installs(Faults.reorder_packets)

    leave = _does(Faults.leave)
    migrate = _does(Faults.migrate)
    close_signal = _does(Faults.close_signal)
    kill_transport = _does(Faults.kill_transport)
    kill = _does(Faults.kill)
    slow_reader = _does(Faults.slow_reader)
    normal_reader = _does(Faults.normal_reader)
