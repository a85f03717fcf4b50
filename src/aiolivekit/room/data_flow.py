"""How full the data channels are: what users may ask and set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..enums import DataPacketKind

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine

__all__ = ["DataFlowMethods"]

_RELIABLE = DataPacketKind.KIND_RELIABLE


class DataFlowMethods:
    """The part of `LocalParticipant` that is about the buffers of the data channels.

    A channel's buffered amount is what was handed to libwebrtc and has not left this machine. When it rises above the
    low threshold, or falls to it, the room has the event `data_channel_buffer_status_changed(is_low, kind)`. Above a
    higher mark (`EngineOptions.buffered_amount_high`) `publish_data` waits until the threshold is reached again.
    """

    _engine: RtcEngine

    def data_channel_buffered_amount(self, kind: DataPacketKind = _RELIABLE) -> int:
        """Return the bytes that wait in a channel.

        Args:
            kind: Which channel.
        """
        return self._engine.buffered_amount(DataPacketKind(kind))

    def data_channel_buffered_amount_low_threshold(self, kind: DataPacketKind = _RELIABLE) -> int:
        """Return the bytes at or below which a channel is low.

        Args:
            kind: Which channel.
        """
        return self._engine.buffered_amount_low_threshold(DataPacketKind(kind))

    def set_data_channel_buffered_amount_low_threshold(self, threshold: int, kind: DataPacketKind = _RELIABLE) -> None:
        """Say at how many bytes a channel is low; at first it is 2 MiB, and 64 KiB for lossy packets.

        It holds until the room is left, also over reconnecting. The room has the event
        `data_channel_buffered_amount_low_threshold_changed(kind, threshold)`.

        Args:
            threshold: In bytes.
            kind: Which channel.

        Raises:
            ValueError: If `threshold` is negative.
            ClosedError: If the room is disconnected.
        """
        self._engine.set_buffered_amount_low_threshold(DataPacketKind(kind), threshold)
