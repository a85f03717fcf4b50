"""What the drivers of this package know of the engine, and of each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from livekit.protocol import models, rtc

from ..core.data_track_packet import FrameEncryption

__all__ = ["DataTrackPort", "FrameCipher", "PacketPort", "ReceivedPacket", "TextPort"]


class PacketPort(Protocol):
    """Sends data packets."""

    async def publish_data(self, packet: models.DataPacket, *, bulk: bool = False) -> None:
        """Send a packet reliably; its place in the order is that of the call's first step.

        Args:
            packet: The packet.
            bulk: Whether it is a part of something large, as a stream's chunks are. Bulk packets keep their order
                among themselves, and yield to all others.

        Raises:
            EngineError: If it cannot be sent; one of its kinds, by cause.
            ClosedError: If the connection ends first.
        """


class DataTrackPort(Protocol):
    """Sends requests to the server, and packets of data tracks."""

    def post_request(self, request: rtc.SignalRequest) -> None:
        """Send a request, in the order of the calls; one that cannot be sent any more is dropped."""

    def data_tracks_ready(self) -> bool:
        """Whether the channel takes a packet now; if not, it will be told when it does (`DataTrackReady`)."""

    def send_data_track_packet(self, packet: bytes) -> None:
        """Hand a packet to the channel, which takes one now."""


class FrameCipher(Protocol):
    """Encrypts and decrypts the frames of data tracks."""

    @property
    def frame_encryption_type(self) -> int:
        """How our frames are encrypted (`livekit.Encryption.Type`); 0 for not at all."""

    @property
    def accepts_plaintext(self) -> bool:
        """Whether frames of others are taken that are not encrypted."""

    def seal_frame(self, payload: bytes) -> tuple[FrameEncryption, bytes]:
        """Encrypt a frame of ours.

        Raises:
            EncryptionError: If that cannot be done.
        """

    def open_frame(self, identity: str, encryption: FrameEncryption, sealed: bytes) -> bytes | None:
        """Return a participant's frame decrypted, or `None`, and count it, if that cannot be done."""


class TextPort(Protocol):
    """Sends and receives whole texts, as text streams (RPC version 2 does)."""

    async def send_text(self, text: str, *, topic: str, attributes: Mapping[str, str], destination: str) -> None:
        """Send a text to one participant, as it best understands it.

        Raises:
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """

    def on_text(self, topic: str, take: Callable[[str, Mapping[str, str], str], None], limit: int) -> None:
        """Take the texts of a topic.

        Whole texts of `topic` go to `take(sender_identity, attributes, text)` and to no user's handler; longer ones
        than `limit` bytes are dropped and counted.
        """


class ReceivedPacket(Protocol):
    """A `UserPacket` that was received."""

    participant_identity: str
    payload: bytes
    topic: str
    id: str
