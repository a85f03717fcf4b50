"""How the data streams of a room hang together with its participants and handlers."""

# ruff: noqa: SLF001 - the classes of this package belong together

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from livekit.protocol import models

from ..core.stream_split import Abilities
from ..core.stream_table import Sender
from ..data.stream_receiving import IncomingStream, StreamKind
from ..data.streams import DataStreams
from ..enums import DisconnectReason, ParticipantState
from ..options import DataStreamOptions
from . import events
from .data_stream import ByteStreamReader, TextStreamReader, byte_info, text_info
from .handler_tasks import HandlerTasks

if TYPE_CHECKING:
    from ..engine.engine import RtcEngine
    from ..session.events import DataStreamChunk, DataStreamHeader, DataStreamTrailer
    from .members import Members
    from .visit import Visit

__all__ = ["ByteStreamHandler", "StreamHandlers", "TextStreamHandler", "data_streams", "sender_of", "tell_streams"]

TextStreamHandler = Callable[[TextStreamReader, str], Any]
"""Called with the reader and the identity of the sender; a function or a coroutine function."""
ByteStreamHandler = Callable[[ByteStreamReader, str], Any]
"""The same."""


class StreamHandlers:
    """Who takes which incoming streams; part of `Room`."""

    _handler_tasks: HandlerTasks
    _text_stream_handlers: dict[str, TextStreamHandler]
    _byte_stream_handlers: dict[str, ByteStreamHandler]

    def register_text_stream_handler(self, topic: str, handler: TextStreamHandler) -> None:
        """Have the text streams of a topic from now on taken by `handler`; those that have begun are not.

        Args:
            topic: As the sender says it.
            handler: Called with a `TextStreamReader` and the identity of the sender as a stream begins. It may be a
                coroutine function, which then runs as a task of the room.

        Raises:
            ValueError: If the topic has one already.
        """
        if topic in self._text_stream_handlers:
            raise ValueError(f"text stream handler for topic {topic!r} already set")
        self._text_stream_handlers[topic] = handler

    def unregister_text_stream_handler(self, topic: str) -> None:
        """Take the text streams of a topic no more; those that have begun go on. Without a handler it does no harm."""
        self._text_stream_handlers.pop(topic, None)

    def register_byte_stream_handler(self, topic: str, handler: ByteStreamHandler) -> None:
        """Have the byte streams of a topic from now on taken by `handler`; those that have begun are not.

        Args:
            topic: As the sender says it.
            handler: As that of text streams, with a `ByteStreamReader`.

        Raises:
            ValueError: If the topic has one already.
        """
        if topic in self._byte_stream_handlers:
            raise ValueError(f"byte stream handler for topic {topic!r} already set")
        self._byte_stream_handlers[topic] = handler

    def unregister_byte_stream_handler(self, topic: str) -> None:
        """Take the byte streams of a topic no more; those that have begun go on. Without a handler it does no harm."""
        self._byte_stream_handlers.pop(topic, None)

    def _wants_stream(self, kind: StreamKind, topic: str) -> bool:
        return topic in (self._text_stream_handlers if kind == "text" else self._byte_stream_handlers)

    def _stream_opened(
        self, kind: StreamKind, header: models.DataStream.Header, stream: IncomingStream, sender: str
    ) -> None:
        handler: Callable[..., Any]
        if kind == "text":
            handler = self._text_stream_handlers[header.topic]
            self._call_stream_handler(kind, handler, TextStreamReader(text_info(header), stream), sender)
        else:
            handler = self._byte_stream_handlers[header.topic]
            self._call_stream_handler(kind, handler, ByteStreamReader(byte_info(header), stream), sender)

    def _call_stream_handler(self, kind: StreamKind, handler: Callable[..., Any], reader: object, sender: str) -> None:
        name = f"{kind} streams"
        try:
            result = handler(reader, sender)
        except Exception as error:  # noqa: BLE001 - reported
            self._handler_tasks.failed(name, handler, error)
        else:
            if isinstance(result, Coroutine):
                self._handler_tasks.start(name, handler, result)


class _Port:
    """The engine as the streams know it."""

    def __init__(self, engine: RtcEngine) -> None:
        self._engine = engine

    async def publish_data(self, packet: models.DataPacket, *, bulk: bool = False) -> None:
        # A packet that is sent in somebody else's name keeps it; the server allows agents to do so.
        await self._engine.publish_data(packet, raw=bool(packet.participant_identity), bulk=bulk)


def data_streams(visit: Visit, handlers: StreamHandlers, options: DataStreamOptions) -> DataStreams:
    """Return what sends and receives the data streams of a visit."""
    members = visit.members
    return DataStreams(
        _Port(visit.engine),
        options,
        abilities=lambda destinations: _abilities(members, destinations),
        present=lambda: [Sender(each.identity, each.sid) for each in members.remote.values()],
        is_wanted=handlers._wants_stream,
        opened=handlers._stream_opened,
    )


def _abilities(members: Members, destinations: Sequence[str]) -> Abilities:
    if destinations:
        found = [members.remote.get(each) for each in destinations if each != members.local.identity]
    else:
        found = [*members.remote.values()]
        # Of who sends but is not announced yet nothing is known.
        departed = ParticipantState.PARTICIPANT_STATE_DISCONNECTED
        found += [None for stranger in members._strangers.values() if stranger.state is not departed]
    return Abilities.common(
        (0, ()) if each is None else (each._info.client_protocol, each._info.capabilities) for each in found
    )


def sender_of(event: DataStreamHeader | DataStreamChunk | DataStreamTrailer) -> Sender:
    """Return who sent a packet of a stream."""
    return Sender(event.participant_identity, event.participant_sid)


def tell_streams(streams: DataStreams, event: events.RoomEvent) -> None:
    """Tell who left from an event of a participant."""
    if isinstance(event, events.ParticipantDisconnected):
        participant = event.participant
        returning = participant.disconnect_reason is DisconnectReason.DUPLICATE_IDENTITY
        streams.left(Sender(participant.identity, participant.sid), returning=returning)
