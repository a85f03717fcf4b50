"""How calls look on the wire.

Version 1 is three packets: `RpcRequest`, `RpcAck`, `RpcResponse`. In version 2 the request is a text stream with the
facts in its attributes, and so may be the payload of a response that is no error; acknowledgements and errors are
packets still. A payload that fits into a packet is sent in one all the same: clients look for the call it answers,
not for the way it came (rust-sdks `handle_v1_response_packet`, client-sdk-js `handleIncomingRpcResponseSuccess`).
Version 2 is for recipients whose `ClientInfo.client_protocol` is 1 or more (livekit/rust-sdks
`livekit/src/room/rpc`, livekit/client-sdk-js `src/room/rpc`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from livekit.protocol import models

from .rpc_error import MAX_DATA_BYTES, MAX_MESSAGE_BYTES, RpcError, truncate

__all__ = [
    "DEFAULT_RESPONSE_TIMEOUT",
    "MAX_V1_PAYLOAD_BYTES",
    "REQUEST_TOPIC",
    "RESPONSE_TOPIC",
    "VERSION_1",
    "VERSION_2",
    "StreamedRequest",
    "ack_packet",
    "answers_id",
    "error_of",
    "error_packet",
    "payload_size",
    "read_request",
    "request_attributes",
    "request_packet",
    "response_attributes",
    "response_packet",
    "server_does_rpc",
    "speaks_v2",
]

MAX_V1_PAYLOAD_BYTES = 15_360
DEFAULT_RESPONSE_TIMEOUT = 15.0
REQUEST_TOPIC = "lk.rpc_request"
RESPONSE_TOPIC = "lk.rpc_response"
VERSION_1 = 1
VERSION_2 = 2

_ID = "lk.rpc_request_id"
_METHOD = "lk.rpc_request_method"
_TIMEOUT_MS = "lk.rpc_request_response_timeout_ms"
_VERSION = "lk.rpc_request_version"
_CLIENT_PROTOCOL_RPC_STREAMS = 1
_OLDEST_SERVER = (1, 8, 0)
_MAX_UINT32 = 2**32 - 1

_Packet = models.DataPacket


def server_does_rpc(version: str) -> bool:
    """Whether a server of this version passes calls on (since 1.8.0); one that does not say which it is does."""
    match = re.match(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", version)
    return match is None or tuple(int(part or 0) for part in match.groups()) >= _OLDEST_SERVER


def speaks_v2(client_protocol: int) -> bool:
    """Whether a participant understands version 2."""
    return client_protocol >= _CLIENT_PROTOCOL_RPC_STREAMS


def payload_size(payload: str) -> int:
    """Return the bytes of a payload.

    Raises:
        UnicodeEncodeError: If it is no text that UTF-8 can hold.
    """
    return len(payload) if payload.isascii() else len(payload.encode())


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), _MAX_UINT32)


def request_packet(destination: str, call_id: str, method: str, payload: str, handler_time: float) -> _Packet:
    """Return a request; `handler_time` in seconds."""
    packet = _Packet()
    request = packet.rpc_request
    request.id = call_id
    request.method = method
    request.payload = payload
    request.response_timeout_ms = _milliseconds(handler_time)
    request.version = VERSION_1
    packet.destination_identities.append(destination)
    return packet


def ack_packet(destination: str, call_id: str) -> _Packet:
    """Return an acknowledgement."""
    packet = _Packet()
    packet.rpc_ack.request_id = call_id
    packet.destination_identities.append(destination)
    return packet


def response_packet(destination: str, call_id: str, payload: str) -> _Packet:
    """Return a response."""
    packet = _Packet()
    response = packet.rpc_response
    response.request_id = call_id
    response.payload = payload
    packet.destination_identities.append(destination)
    return packet


def error_packet(destination: str, call_id: str, error: RpcError) -> _Packet:
    """Return a response that says that the call failed.

    Raises:
        ValueError: If the error's code is no unsigned number of 32 bits.
        TypeError: If the code is no integer, or the message or the data no text.
    """
    packet = _Packet()
    response = packet.rpc_response
    response.request_id = call_id
    response.error.code = error.code
    response.error.message = truncate(error.message, MAX_MESSAGE_BYTES)
    if error.data:
        response.error.data = truncate(error.data, MAX_DATA_BYTES)
    packet.destination_identities.append(destination)
    return packet


def error_of(error: models.RpcError) -> RpcError:
    """Return a received error; what is too long in it is cut off."""
    data = truncate(error.data, MAX_DATA_BYTES) if error.data else None
    return RpcError(error.code, truncate(error.message, MAX_MESSAGE_BYTES), data)


def request_attributes(call_id: str, method: str, handler_time: float) -> dict[str, str]:
    """Return the attributes of a streamed request; `handler_time` in seconds."""
    return {
        _ID: call_id,
        _METHOD: method,
        _TIMEOUT_MS: str(_milliseconds(handler_time)),
        _VERSION: str(VERSION_2),
    }


def response_attributes(call_id: str) -> dict[str, str]:
    """Return the attributes of a streamed response."""
    return {_ID: call_id}


def answers_id(attributes: Mapping[str, str]) -> str:
    """Return which call a stream belongs to, or an empty string."""
    return attributes.get(_ID, "")


@dataclass(frozen=True, slots=True)
class StreamedRequest:
    """What the attributes of a streamed request say; `response_timeout` in seconds."""

    call_id: str
    method: str
    response_timeout: float
    version: int


def read_request(attributes: Mapping[str, str]) -> StreamedRequest | None:
    """Return what the attributes of a request say, or `None` if something is missing or is no number."""
    call_id, method = attributes.get(_ID, ""), attributes.get(_METHOD, "")
    timeout, version = attributes.get(_TIMEOUT_MS, ""), attributes.get(_VERSION, "")
    if not call_id or not method or not re.fullmatch("[0-9]{1,15}", timeout) or not re.fullmatch("[0-9]{1,9}", version):
        return None
    return StreamedRequest(call_id, method, min(int(timeout), _MAX_UINT32) / 1000, int(version))
