"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FRAME_SIZES", "MEASURES", "PAYLOADS", "Settings"]

MEASURES = (
    "connect",
    "data",
    "data_tracks",
    "calls",
    "memory",
    "audio1",
    "audio8",
    "audio8_encrypted",
    "video",
    "layers",
    "layers_encrypted",
    "server",
    "recovery",
    "recovery_dual",
)
PAYLOADS = (100, 1_200, 15_000)
FRAME_SIZES = (1_000, 15_000, 100_000)


@dataclass(frozen=True)
class Settings:
    """Sizes of one measurement.

    Args:
        rounds: How often each contender has its turn.
        connects: Connections timed in a process, after one that is not.
        pings: Round trips timed, after some that are not.
        data_seconds: How long each payload size is sent.
        calls: Calls timed one after the other.
        transfer_mb: Megabytes sent while calls are made.
        rooms: Rooms in one process, for memory.
        warm_up: Seconds media flows before it is measured.
        media_seconds: Seconds media is measured.
        forwards: Packets a second that servers are made to send.
    """

    rounds: int = 5
    connects: int = 20
    pings: int = 500
    data_seconds: float = 3.0
    calls: int = 1000
    transfer_mb: int = 100
    rooms: int = 50
    warm_up: float = 4.0
    media_seconds: float = 6.0
    forwards: int = 10_000

    @classmethod
    def quick(cls) -> Settings:
        """A run of about two minutes: to see that all works, not to quote."""
        return cls(
            rounds=1,
            connects=8,
            pings=100,
            data_seconds=1.0,
            calls=200,
            transfer_mb=10,
            rooms=20,
            warm_up=3.0,
            media_seconds=3.0,
        )
