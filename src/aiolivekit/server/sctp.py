"""The data channels of a peer connection."""
# ruff: noqa: SLF001 - works on the private state of the association, like `sctp_association`

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from struct import pack

from aiolivekit._vendor.aiortc import rtcsctptransport as base
from aiolivekit._vendor.aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiolivekit.server.sctp_association import RECEIVE_WINDOW, Association, Lower, run_now

__all__ = ["DataChannels"]

_log = logging.getLogger("aiolivekit.server")

MAX_BUFFERED = 64 * 1024 * 1024
"""Bytes that may wait for one peer; what comes on top is dropped and counted."""


class DataChannels:
    """The data channels of one peer connection.

    Args:
        send: Takes each SCTP packet.
        server: Whether we are the DTLS server (it decides over stream numbers).
        on_message: Called with a channel's label and each message.
        on_open: Called with a channel's label when it can be used.
        on_lost: Called when the association ended without `close`.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        *,
        server: bool,
        on_message: Callable[[str, bytes], None],
        on_open: Callable[[str], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._association = Association(self, Lower(send, server=server), send)
        self._association.on("datachannel", self._announced)
        self._channels: dict[str, RTCDataChannel] = {}
        self._labels: dict[int, str] = {}
        self._on_message = on_message
        self._on_open = on_open
        self._on_lost = on_lost
        self._closed = False
        self._failed = False
        self.dropped = 0
        self.paused = False
        self._held: list[bytes] = []

    def start(self, remote_port: int, max_message_size: int) -> None:
        """Start the association; 0 for a peer that takes messages of any size."""
        run_now(self._association.start(base.RTCSctpCapabilities(maxMessageSize=max_message_size), remote_port))

    def create(self, label: str, *, ordered: bool, max_retransmits: int | None) -> None:
        """Announce a channel of ours."""
        parameters = RTCDataChannelParameters(label=label, ordered=ordered, maxRetransmits=max_retransmits)
        channel = RTCDataChannel(self._association, parameters, send_open=False)
        self._channels[label] = channel
        channel.on("open", lambda: self._on_open(label))
        # The base would start a task to send this; here the flush at establishment does.
        data = pack(
            "!BBHLHH",
            base.DATA_CHANNEL_OPEN,
            (0 if ordered else 0x80) | (0 if max_retransmits is None else 1),
            0,
            max_retransmits or 0,
            len(label),
            0,
        )
        self._association._data_channel_queue.append((channel, base.WEBRTC_DCEP, data + label.encode()))
        self._association._flush()

    def receive(self, packet: bytes) -> None:
        """Take one SCTP packet; whatever is wrong with it ends the association, never the caller."""
        if self._failed:
            return
        if self.paused:
            # A reader that does not read: what fits the window waits, so that the peer's window fills.
            if len(self._held) < RECEIVE_WINDOW // 1024:
                self._held.append(packet)
            return
        try:
            self._association.handle(packet)
        except Exception:  # noqa: BLE001 - aiortc asserts on what a peer sends; a peer must not stop the server
            _log.warning("an SCTP association broke on what its peer sent", exc_info=_log.isEnabledFor(10))
            self._failed = True
            self.lost()

    def resume(self) -> None:
        """Read again after `paused` was set."""
        self.paused = False
        held, self._held = self._held, []
        for packet in held:
            self.receive(packet)

    def is_open(self, label: str) -> bool:
        """Whether messages of this channel can be sent."""
        channel = self._channels.get(label)
        return channel is not None and channel.readyState == "open"

    def send(self, label: str, data: bytes) -> bool:
        """Send a message; false when the channel is not open, is full, or the peer takes no such size."""
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open" or channel.bufferedAmount > MAX_BUFFERED:
            self.dropped += 1
            return False
        try:
            self._association._data_channel_send(channel, data)
        except ValueError:
            self.dropped += 1
            return False
        return True

    def buffered(self, label: str) -> int:
        """Bytes of a channel that wait to be sent."""
        channel = self._channels.get(label)
        return 0 if channel is None else channel.bufferedAmount

    def close(self) -> None:
        """End the association."""
        if not self._closed:
            self._closed = True
            run_now(self._association.stop())
            self._association.remove_all_listeners()

    # called by the association

    def opened(self) -> None:
        """Take note that the association is established."""

    def lost(self) -> None:
        """Take note that the association ended."""
        if not self._closed:
            asyncio.get_running_loop().call_soon(self._on_lost)

    def delivered(self, stream_id: int, data: bytes) -> None:
        """Take a message."""
        label = self._labels.get(stream_id)
        if label is None:
            channel = self._association._data_channels.get(stream_id)
            if channel is None:
                return
            label = self._labels[stream_id] = channel.label
        self._on_message(label, data)

    def _announced(self, channel: RTCDataChannel) -> None:
        self._channels[channel.label] = channel
        self._labels.pop(channel.id or 0, None)
        self._on_open(channel.label)
