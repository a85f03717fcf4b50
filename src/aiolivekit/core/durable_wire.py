"""Durable messages on the wire: the ids of messages and the payloads of control packets (docs/durable.md)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s

__all__ = [
    "CONTROL_ID",
    "CONTROL_TOPIC",
    "Ack",
    "Control",
    "Gone",
    "MessageId",
    "Probe",
    "SendControl",
    "Skip",
    "Sync",
    "decode_control",
    "format_id",
    "key_of",
    "parse_id",
]

CONTROL_ID = "aio1"
CONTROL_TOPIC = "lk.aio.durable"
_PREFIX = "aio1."
_VERSION = "1"
_MAX_CONTROL = 128
_MAX_DIGITS = 15
_MAX_STREAM = 16
_MAX_ENTRIES = 16


def key_of(identity: str) -> str:
    """Return what stands for an identity in the ids of messages."""
    return urlsafe_b64encode(blake2s(identity.encode(), digest_size=6).digest()).decode()


@dataclass(frozen=True, slots=True)
class MessageId:
    """Which message of which stream it is, and which one came before it for a certain receiver."""

    stream: str
    number: int
    previous: int


def format_id(stream: str, number: int, previous: int, others: Mapping[str, int]) -> str:
    """Return `UserPacket.id`.

    Args:
        stream: Of the sender.
        number: Of the message.
        previous: The number of the message before it, for those who are not among `others`.
        others: The same by identity, for those for whom it differs.
    """
    if not others:
        return f"{_PREFIX}{stream}.{number}.{previous}"
    if len(others) > _MAX_ENTRIES:
        # Too high a number costs a round trip; too low a one would hide a loss.
        return f"{_PREFIX}{stream}.{number}.{max(previous, *others.values())}"
    entries = ",".join(f"{key_of(identity)}={value}" for identity, value in others.items())
    return f"{_PREFIX}{stream}.{number}.{previous}.{entries}"


def parse_id(text: str, key: str) -> MessageId | None:
    """Return what an id says to the receiver that `key` stands for; `None` if it is no id of a durable message."""
    parts = text.split(".")
    if len(parts) not in (4, 5) or parts[0] != CONTROL_ID or not _is_stream(parts[1]):
        return None
    number, previous = _number(parts[2]), _number(parts[3])
    if len(parts) == 5:
        entries = parts[4].split(",")
        if len(entries) > _MAX_ENTRIES:
            return None
        for entry in entries:
            whose, _, value = entry.partition("=")
            if whose == key:
                previous = _number(value)
    if number is None or previous is None or previous >= number:
        return None
    return MessageId(parts[1], number, previous)


@dataclass(frozen=True, slots=True)
class Ack:
    """The receiver has everything up to `last`; with `ask` it wants a probe."""

    stream: str
    last: int
    ask: bool = False

    def encode(self) -> bytes:
        """Return the payload."""
        return b"1 ack %s %d %d" % (self.stream.encode(), self.last, self.ask)


@dataclass(frozen=True, slots=True)
class Probe:
    """The last message for the receiver is `number`."""

    stream: str
    number: int

    def encode(self) -> bytes:
        """Return the payload."""
        return b"1 probe %s %d" % (self.stream.encode(), self.number)


@dataclass(frozen=True, slots=True)
class Sync:
    """The receiver has everything up to `last` and wants what is missing before `held` (0: everything)."""

    stream: str
    last: int
    held: int

    def encode(self) -> bytes:
        """Return the payload."""
        return b"1 sync %s %d %d" % (self.stream.encode(), self.last, self.held)


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing comes after `previous` up to `number`; `missed` messages for the receiver are lost there."""

    stream: str
    previous: int
    number: int
    missed: int

    def encode(self) -> bytes:
        """Return the payload."""
        return b"1 skip %s %d %d %d" % (self.stream.encode(), self.previous, self.number, self.missed)


@dataclass(frozen=True, slots=True)
class Gone:
    """The sender knows no such stream."""

    stream: str

    def encode(self) -> bytes:
        """Return the payload."""
        return b"1 gone %s" % self.stream.encode()


Control = Ack | Probe | Sync | Skip | Gone


@dataclass(frozen=True, slots=True)
class SendControl:
    """An effect: send this to that identity, and to nobody else."""

    identity: str
    control: Control


def decode_control(payload: bytes) -> Control | None:
    """Return what a control packet says; `None` if it is none of this version."""
    if len(payload) > _MAX_CONTROL or not payload.isascii():
        return None
    fields = payload.decode("ascii").split(" ")
    if len(fields) < 3 or fields[0] != _VERSION or not _is_stream(fields[2]):
        return None
    stream = fields[2]
    numbers = [number for text in fields[3:] if (number := _number(text)) is not None]
    if len(numbers) != len(fields) - 3:
        return None
    match fields[1], numbers:
        case "ack", [last, (0 | 1) as ask]:
            return Ack(stream, last, bool(ask))
        case "probe", [number] if number > 0:
            return Probe(stream, number)
        case "sync", [last, held] if held == 0 or held > last:
            return Sync(stream, last, held)
        case "skip", [previous, number, missed] if previous < number:
            return Skip(stream, previous, number, missed)
        case "gone", []:
            return Gone(stream)
    return None


def _is_stream(text: str) -> bool:
    return 0 < len(text) <= _MAX_STREAM and text.isascii() and text.isalnum()


def _number(text: str) -> int | None:
    return int(text) if 0 < len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit() else None
