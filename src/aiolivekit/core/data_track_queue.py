"""What waits to be sent on data tracks: of each track the newest frame, and the rest of the frame being sent."""

from __future__ import annotations

from dataclasses import dataclass

from .data_track_packet import FrameEncryption, Packetizer

__all__ = ["FrameQueue", "OutgoingFrame"]


@dataclass(frozen=True, slots=True)
class OutgoingFrame:
    """A frame that was pushed.

    Args:
        payload: Its bytes.
        timestamp: When it was pushed, in ticks of the packets' clock.
        user_timestamp: What the application says of its time.
        encryption: How the bytes are encrypted.
    """

    payload: bytes
    timestamp: int
    user_timestamp: int | None = None
    encryption: FrameEncryption | None = None


class FrameQueue:
    """Frames of all data tracks on their way to one channel.

    A frame that waits is replaced by the next one of its track. Tracks take turns, so that one which is pushed
    without pause cannot keep the others out. Frames are cut into packets when their turn comes: those that were
    replaced leave no gap in the numbers, and cost nothing. A frame that has begun is sent to its end.
    """

    __slots__ = ("_held", "_packetizers", "_sending", "_turns", "_waiting", "replaced")

    def __init__(self) -> None:
        self._packetizers: dict[int, Packetizer] = {}
        self._waiting: dict[int, OutgoingFrame] = {}
        self._turns: list[int] = []
        self._held: set[int] = set()
        # The next one is the last.
        self._sending: list[bytes] = []
        self.replaced = 0

    def add(self, handle: int) -> None:
        """Take frames of a track from now on."""
        self._packetizers[handle] = Packetizer(handle)

    def remove(self, handle: int) -> None:
        """Forget a track, and what waits of it; a frame that has begun is sent to its end."""
        self._packetizers.pop(handle, None)
        self._waiting.pop(handle, None)
        self._held.discard(handle)
        if handle in self._turns:
            self._turns.remove(handle)

    def push(self, handle: int, frame: OutgoingFrame) -> bool:
        """Put a frame in its track's place; return whether one that waited there is dropped for it."""
        if handle in self._waiting:
            self._waiting[handle] = frame
            self.replaced += 1
            return True
        self._waiting[handle] = frame
        if handle not in self._held:
            self._turns.append(handle)
        return False

    def hold(self, handle: int) -> None:
        """Let a track wait: the server does not know it at the moment."""
        self._held.add(handle)
        if handle in self._turns:
            self._turns.remove(handle)

    def release(self, handle: int) -> None:
        """Let a track go on."""
        if handle in self._held:
            self._held.discard(handle)
            if handle in self._waiting:
                self._turns.append(handle)

    def interrupt(self) -> None:
        """Drop the rest of the frame that was being sent: the channel has ended under it."""
        self._sending.clear()

    def next(self) -> bytes | None:
        """Return the packet to send next, which counts as sent; `None` if there is none."""
        if not self._sending:
            if not self._turns:
                return None
            handle = self._turns.pop(0)
            frame = self._waiting.pop(handle)
            packets = self._packetizers[handle].packets(
                frame.payload, frame.timestamp, frame.user_timestamp, frame.encryption
            )
            if len(packets) == 1:
                return packets[0]
            self._sending = packets[::-1]
        return self._sending.pop()

    def __bool__(self) -> bool:
        return bool(self._sending or self._turns)
