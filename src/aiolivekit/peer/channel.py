"""A data channel, with the shortest way in and out that `wrtc` 0.1.0 has.

The public way of `wrtc` makes an event object for each message and looks up handlers for it. A room can carry tens
of thousands of messages a second, so this module takes messages where `wrtc` hands them to the object
(`_deliver`), and sends through the native object. Both are private; `tests/unit/peer/test_channel.py` fails when
they change.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import webrtc

__all__ = ["ChannelSink", "ChannelState", "DataChannel"]

ChannelState = Literal["connecting", "open", "closing", "closed"]


class ChannelSink(Protocol):
    """Who is told what happens on a channel, on the event loop that made it. None of these may raise."""

    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        """A binary message arrived."""

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        """The channel is `open`, `closing` or `closed`."""

    def on_channel_low(self, channel: DataChannel) -> None:
        """The buffered amount fell to the low threshold."""


_STATE_EVENTS: dict[str, ChannelState] = {"open": "open", "closing": "closing", "close": "closed"}


class FastChannel(webrtc.RTCDataChannel):
    """A channel whose native events go to its owner (for `peer.connection`, which makes them)."""

    __slots__ = ("owner",)

    owner: DataChannel | None

    def _init_native(self, native_obj: Any) -> None:
        super()._init_native(native_obj)
        self.owner = None

    def _deliver(self, state: Any, name: str, args: Any, *, primary: bool = True) -> None:
        owner = self.owner
        if owner is None:
            super()._deliver(state, name, args, primary=primary)
        elif name == "message":
            owner._message(args[0])
        else:
            super()._deliver(state, name, args, primary=primary)
            owner._event(name)

    @staticmethod
    def _changes_activity(name: str) -> bool:
        # The owner holds the channel strongly, so `wrtc` need not re-examine after each message whether to root it.
        return name not in ("message", "_sent")


class DataChannel:
    """A data channel, ours or one the server made. Who makes it must keep it: `wrtc` itself holds it weakly.

    Args:
        channel: The wrapper `wrtc` delivers to.
        sink: Told of messages and states.
    """

    __slots__ = ("_channel", "_native", "_sink", "label", "text_dropped")

    def __init__(self, channel: FastChannel, sink: ChannelSink) -> None:
        self.label = channel.label
        self.text_dropped = 0
        self._sink = sink
        self._channel = channel
        self._native: Any = channel._native_obj
        channel.owner = self

    def send(self, data: bytes) -> None:
        """Hand a binary message to libwebrtc, which copies it.

        Raises:
            webrtc.InvalidStateError: If the channel is not open.
            webrtc.OperationError: If libwebrtc's queue (16 MiB) is full.
            TypeError: If the message is larger than the other side takes.
        """
        self._native.send(data, binary=True)

    @property
    def state(self) -> ChannelState:
        """The state, as of the last event."""
        state: ChannelState = self._native.readyState.value
        return state

    @property
    def is_open(self) -> bool:
        """Whether `send` can be called."""
        return self._native.readyState is webrtc.RTCDataChannelState.open

    @property
    def buffered_amount(self) -> int:
        """Bytes handed over that libwebrtc has not yet sent."""
        amount: int = self._native.bufferedAmount
        return amount

    @property
    def low_threshold(self) -> int:
        """Bytes at or below which the sink is told that there is room again."""
        return self._channel.buffered_amount_low_threshold

    @low_threshold.setter
    def low_threshold(self, value: int) -> None:
        self._channel.buffered_amount_low_threshold = value

    @property
    def stream_id(self) -> int | None:
        """The SCTP stream, once it is known."""
        return self._channel.id

    def close(self) -> None:
        """Close the channel behind what was sent; the sink is told `closed` when the other side has agreed."""
        self._channel.close()

    def detach(self) -> None:
        """Tell the sink nothing any more; the channel itself ends with its connection."""
        self._sink = _Deaf()

    def _message(self, data: bytes | str) -> None:
        if type(data) is bytes:
            self._sink.on_channel_message(self, data)
        else:
            # LiveKit's channels carry protobuf; text comes from nobody who speaks the protocol.
            self.text_dropped += 1

    def _event(self, name: str) -> None:
        if name == "bufferedamountlow":
            self._sink.on_channel_low(self)
        elif name in _STATE_EVENTS:
            self._sink.on_channel_state(self, _STATE_EVENTS[name])


class _Deaf:
    def on_channel_message(self, channel: DataChannel, data: bytes) -> None:
        pass

    def on_channel_state(self, channel: DataChannel, state: ChannelState) -> None:
        pass

    def on_channel_low(self, channel: DataChannel) -> None:
        pass
