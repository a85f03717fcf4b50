"""What is fuzzed: each target takes bytes, as a script of what strangers send, and checks what must hold throughout.

A target raises only if there is a defect: an exception that is not the documented one, or a bound that does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from google.protobuf.message import DecodeError
from livekit.protocol import models

from aiolivekit.core.data_track_frames import FrameAssembler
from aiolivekit.core.data_track_packet import MAX_FRAME_PACKETS, DataTrackPacket, MalformedPacketError
from aiolivekit.core.durable_receiver import DurableReceiver
from aiolivekit.core.durable_wire import Gone, Probe, Skip, decode_control, parse_id
from aiolivekit.core.rpc_wire import error_of, read_request
from aiolivekit.core.stream_join import STREAM_OVERHEAD, StreamJoin
from aiolivekit.core.stream_table import Sender, StreamTable
from aiolivekit.enums import DataPacketKind
from aiolivekit.options import DataStreamOptions
from aiolivekit.session.packets import decode_packet

__all__ = ["TARGETS"]

_SENDERS = (Sender("ann", "PA_1"), Sender("bob", "PA_2"), Sender("ann", "PA_3"), Sender("agent", ""))
_LIMIT = 20_000
_INFLATE = 48 * 1024


class _Script:
    """Reads bytes as numbers and pieces; past their end there are zeros and nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.piece(size), "big")

    def piece(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def pieces(self) -> Iterator[bytes]:
        """Yield pieces, each with its length before it."""
        while self:
            yield self.piece(self.number(2))


def data_track_packets(data: bytes) -> None:
    """A packet of a data track: it is refused, or the same once more after it was written again."""
    try:
        packet = DataTrackPacket.parse(data)
    except MalformedPacketError:
        return
    assert len(packet.payload) <= len(data)
    again = DataTrackPacket.parse(packet.serialize())
    assert again == packet


def data_track_frames(data: bytes) -> None:
    """Packets of one track, in any order: what is kept is bounded, and a frame is no larger than what came."""
    script = _Script(data)
    assembler = FrameAssembler(script.number() % 5)
    received = 0
    for piece in script.pieces():
        try:
            packet = DataTrackPacket.parse(piece)
        except MalformedPacketError:
            continue
        received += len(packet.payload)
        whole = assembler.push(packet)
        assert whole is None or len(whole[1]) <= received
        assert assembler.partial_frames <= assembler.max_partial_frames
        assert all(len(each.payloads) <= MAX_FRAME_PACKETS for each in assembler._partials.values())
        assert len(assembler._remembered) <= 64


def stream_join(data: bytes) -> None:
    """One stream: it ends whatever comes, gives no more than it may, and holds no more than came."""
    script = _Script(data)
    flags = script.number()
    total = script.number(3) if flags & 1 else None
    stream = StreamJoin(total, compressed=bool(flags & 2), max_bytes=_LIMIT)
    got = sent = count = 0
    while script:
        what = script.number() % 8
        if what == 0:
            stream.end("as asked" if script.number() & 1 else "")
        elif what == 1:
            piece = stream.take()
            got += len(piece or b"")
        else:
            # Mostly the number that is due.
            index = script.number(8) if what == 2 else count
            content = script.piece(script.number(2))
            sent, count = sent + len(content), count + 1
            stream.chunk(index, content)
        assert 0 <= stream.held <= STREAM_OVERHEAD + _INFLATE + sent + 64 * (count + 1)
    stream.end()
    while (piece := stream.take()) is not None:
        got += len(piece)
    assert stream.over
    assert stream.held == 0
    assert got <= _LIMIT
    assert stream.error is not None or total is None or got == total


def stream_table(data: bytes) -> None:
    """Packets of streams of several senders who come and go: the books are right, and the bounds hold."""
    limits = DataStreamOptions(max_unread_byte_length=200_000, max_open_streams=4, max_payload_byte_length=_LIMIT)
    table = StreamTable(limits)
    script = _Script(data)
    streams: list[StreamJoin] = []
    now = 0.0
    while script:
        what, sender = script.number() % 10, _SENDERS[script.number() % len(_SENDERS)]
        name = str(script.number() % 3)
        if what < 3:
            flags = script.number()
            join = StreamJoin(script.number(2) if flags & 1 else None, compressed=bool(flags & 2), max_bytes=_LIMIT)
            if table.open(sender, name, join, now, encryption=flags & 4, for_another=bool(flags & 8)):
                streams.append(join)
            table.relieve()
        elif what < 6:
            table.chunk(sender, name, script.number() % 4, script.piece(script.number(2)), now, script.number() & 4)
        elif what == 6:
            table.trailer(sender, name, "over" if script.number() & 1 else "", {"k": "v"})
        elif what == 7:
            now += script.number()
            table.poll(now)
        elif what == 8:
            action = script.number() % 4
            if action == 0:
                table.interrupted()
            elif action == 1:
                table.recovered([sender], now)
            else:
                table.left(sender, now, returning=action == 2)
        elif streams:
            stream = streams[script.number() % len(streams)]
            if script.number() & 1:
                table.take(stream)
            else:
                table.release(stream)
        assert table.held == sum(each.held for each in table._live)
        assert table.held <= limits.max_unread_byte_length or not len(table)
        assert sum(table._counts.values()) == sum(map(len, table._open.values()))
        assert not table._counts or max(table._counts.values()) <= limits.max_open_streams


def durable_messages(data: bytes) -> None:
    """Ids and control packets of durable messages: delivered in order and once, and what is held is bounded."""
    script = _Script(data)
    receiver: DurableReceiver[int] = DurableReceiver(max_bytes=5_000, max_messages=20)
    now = 0.0
    for number, piece in enumerate(script.pieces()):
        sender = f"s{piece[:1].hex()}" if piece[:1] < b"\x02" else "ann"
        message = parse_id(piece.decode("latin-1"), "key")
        control = decode_control(piece)
        if message is not None:
            receiver.message(sender, message, number, len(piece) + 100, now)
        match control:
            case Probe():
                receiver.probe(sender, control, now)
            case Skip():
                receiver.skip(sender, control, now)
            case Gone():
                receiver.gone(sender, control, now)
        if control is not None:
            assert decode_control(control.encode()) == control
        if not piece:
            now += 1.0
            receiver.poll(now)
        assert receiver.held <= 20
        assert 0 <= receiver._held_bytes <= 5_000
        assert receiver.held or not receiver._held_bytes


def packets(data: bytes) -> None:
    """A data packet as it arrives: an event, or nothing; calls and their errors are read."""
    try:
        packet = models.DataPacket.FromString(data)
    except DecodeError:
        return
    for kind in (DataPacketKind.KIND_RELIABLE, DataPacketKind.KIND_LOSSY):
        decode_packet(packet, kind)
    if packet.HasField("stream_header"):
        request = read_request(packet.stream_header.attributes)
        assert request is None or (request.response_timeout >= 0 and request.version >= 0)
    if packet.rpc_response.HasField("error"):
        error_of(packet.rpc_response.error)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (data_track_packets, data_track_frames, stream_join, stream_table, durable_messages, packets)
}
