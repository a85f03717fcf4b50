"""Chat: text streams of the topic `lk.chat`, and the older `ChatMessage` packets beside them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from livekit.protocol import models

from ..core.stream_header import text_header
from ..data.streams import new_stream_id, timestamp_now
from . import events

if TYPE_CHECKING:
    from ..data.streams import DataStreams
    from ..session.events import ChatMessageReceived
    from .visit import Visit

__all__ = ["CHAT_TOPIC", "Chat", "ChatMessage", "ChatMethods"]

CHAT_TOPIC = "lk.chat"
"""Of the text streams that LiveKit's components and agents take for chat."""
_MAX_BYTES = 1024 * 1024
_MAX_PACKET = 15_000
_REMEMBERED = 512


@dataclass(frozen=True)
class ChatMessage:
    """What somebody wrote.

    Args:
        id: Names it; an edited one has the id of the original.
        message: The text.
        timestamp: When it was written, in milliseconds since 1970.
        edit_timestamp: When it was edited; `None` for never.
        deleted: Whether it is taken back.
        generated: Whether it was made by a machine.
    """

    id: str
    message: str
    timestamp: int
    edit_timestamp: int | None = None
    deleted: bool = False
    generated: bool = False


class ChatMethods:
    """What the local participant can say in a chat."""

    _data_streams: DataStreams | None

    async def send_chat_message(
        self,
        message: str,
        *,
        destination_identities: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> ChatMessage:
        """Write to the others.

        It is sent as LiveKit's components and agents expect it (a text stream of the topic `lk.chat`), and as the chat
        events of its SDKs do (`ChatMessage`), with one id; the event `chat_message_received` tells of it once. Behind
        15,000 bytes it is sent the first way only.

        Args:
            message: The text.
            destination_identities: Who gets it; everybody if empty.
            attributes: Of the text stream.

        Returns:
            What was sent; to be edited, for instance.

        Raises:
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """
        assert self._data_streams is not None
        sender = self._data_streams.sender
        sent = ChatMessage(new_stream_id(), message, timestamp_now())
        header = text_header(sent.id, sent.timestamp, CHAT_TOPIC, attributes=attributes)
        await sender.send_whole(header, message.encode(), list(destination_identities), is_text=True)
        packet = _packet(sent, destination_identities)
        if packet.ByteSize() <= _MAX_PACKET:
            await sender.publish(packet)
        return sent

    async def edit_chat_message(
        self, message: str, original: ChatMessage, *, destination_identities: Sequence[str] = ()
    ) -> ChatMessage:
        """Change what was written; only `ChatMessage` packets have a way to say so.

        Args:
            message: The new text.
            original: What was sent.
            destination_identities: Who gets it; everybody if empty.

        Returns:
            What is now sent.

        Raises:
            StreamError: If it cannot be sent; one of its kinds, by cause.
        """
        assert self._data_streams is not None
        sent = replace(original, message=message, edit_timestamp=timestamp_now())
        await self._data_streams.sender.publish(_packet(sent, destination_identities))
        return sent


def _packet(message: ChatMessage, destinations: Sequence[str]) -> models.DataPacket:
    chat = models.ChatMessage(
        id=message.id,
        timestamp=message.timestamp,
        message=message.message,
        deleted=message.deleted,
        generated=message.generated,
    )
    if message.edit_timestamp is not None:
        chat.edit_timestamp = message.edit_timestamp
    return models.DataPacket(chat_message=chat, destination_identities=destinations)


class Chat:
    """Receives chat messages, each once.

    Args:
        visit: Tells of them.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def receive_from(self, streams: DataStreams) -> None:
        """Take the text streams of the topic for which the application has no handler of its own."""
        streams.receiver.on_text(CHAT_TOPIC, self._text_received, _MAX_BYTES, rest=True)

    def _text_received(self, header: models.DataStream.Header, sender: str, _attributes: object, text: str) -> None:
        message = ChatMessage(header.stream_id, text, header.timestamp, generated=header.text_header.generated)
        self._tell(sender, message)

    def packet_received(self, event: ChatMessageReceived) -> None:
        """Take a packet."""
        chat = event.message
        edited = chat.edit_timestamp if chat.HasField("edit_timestamp") else None
        self._tell(
            event.participant_identity,
            ChatMessage(chat.id, chat.message, chat.timestamp, edited or None, chat.deleted, chat.generated),
        )

    def _tell(self, identity: str, message: ChatMessage) -> None:
        if message.edit_timestamp is None and not message.deleted:
            key = (identity, message.id)
            if key in self._seen:
                return
            self._seen[key] = None
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        self._visit.announce(events.ChatMessageReceived(message, self._visit.members.sender(identity, "")))
