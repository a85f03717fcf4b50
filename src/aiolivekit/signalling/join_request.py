"""What we say about ourselves when we join: the query of `/rtc/v1` and of `/rtc`.

Source: livekit-server `pkg/service/rtcservice.go` (`validateInternal`) and `ParseClientInfo`.
"""

from __future__ import annotations

import base64
import functools
import platform
import zlib
from dataclasses import dataclass
from urllib.parse import urlencode

from livekit.protocol import models as proto_models
from livekit.protocol import rtc as proto_rtc

from .._version import __version__
from ..options import SignalOptions
from .url import SignalPath

__all__ = [
    "CAPABILITIES",
    "CLIENT_PROTOCOL",
    "PROTOCOL_VERSION",
    "ResumeRequest",
    "client_info",
    "join_query",
    "join_request",
]

PROTOCOL_VERSION = 17
"""The signalling protocol we speak: that of LiveKit's own SDKs; a server tolerates newer and older ones."""
CLIENT_PROTOCOL = 2
"""What other participants may use towards us: 0 plain, 1 RPC over streams, 2 streams v2. Raised when we honour it."""
CAPABILITIES: tuple[proto_models.ClientInfo.Capability, ...] = (
    proto_models.ClientInfo.Capability.CAP_PACKET_TRAILER,
    proto_models.ClientInfo.Capability.CAP_COMPRESSION_DEFLATE_RAW,
)
"""What the server and other participants may send us beyond the basics. Grown when we honour it."""

_GZIP = 31  # zlib's window size that asks for a gzip header
_COMPRESS_LEVEL = 6
_NOT_WORTH_COMPRESSING = 160
"""Bytes; below, the header eats what gzip saves."""


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """Ask for the session that was cut off instead of a new one.

    Args:
        participant_sid: Our sid in that session (`PA_…`).
        reason: Why the link was lost (`ReconnectReason`).
        path: The endpoint that session was joined over; a session cannot change it. `None` goes by the options.
        ping_interval: Seconds, of the join response; the response to a resume does not repeat it.
        ping_timeout: Likewise.
    """

    participant_sid: str
    reason: proto_models.ReconnectReason = proto_models.ReconnectReason.RR_UNKNOWN
    path: SignalPath | None = None
    ping_interval: float = 5.0
    ping_timeout: float = 15.0


@functools.cache
def _system() -> tuple[str, str]:
    return platform.system(), platform.release()


def client_info(options: SignalOptions) -> proto_models.ClientInfo:
    """Describe this client.

    Raises:
        ValueError: If `options.sdk_name` is not one of `ClientInfo.SDK`.
    """
    os, os_version = _system()
    return proto_models.ClientInfo(
        sdk=options.sdk_name,  # by name; protobuf raises ValueError for an unknown one
        version=__version__,
        protocol=PROTOCOL_VERSION,
        os=os,
        os_version=os_version,
        client_protocol=CLIENT_PROTOCOL,
        capabilities=CAPABILITIES,
    )


def join_request(
    options: SignalOptions,
    publisher_offer: proto_rtc.SessionDescription | None = None,
    resume: ResumeRequest | None = None,
) -> proto_rtc.JoinRequest:
    """Build the message of `/rtc/v1`."""
    request = proto_rtc.JoinRequest(
        client_info=client_info(options),
        connection_settings=proto_rtc.ConnectionSettings(
            auto_subscribe=options.auto_subscribe, adaptive_stream=options.adaptive_stream
        ),
    )
    if publisher_offer is not None:
        request.publisher_offer.CopyFrom(publisher_offer)
    if resume is not None:
        request.reconnect = True
        request.reconnect_reason = resume.reason
        request.participant_sid = resume.participant_sid
    return request


def _wrap(request: proto_rtc.JoinRequest) -> str:
    kind = proto_rtc.WrappedJoinRequest.Compression
    payload = request.SerializeToString()
    wrapped = proto_rtc.WrappedJoinRequest(compression=kind.NONE, join_request=payload)
    if len(payload) > _NOT_WORTH_COMPRESSING:
        packed = zlib.compress(payload, _COMPRESS_LEVEL, _GZIP)
        if len(packed) < len(payload):
            wrapped = proto_rtc.WrappedJoinRequest(compression=kind.GZIP, join_request=packed)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode("ascii")


def join_query(
    path: SignalPath,
    options: SignalOptions,
    publisher_offer: proto_rtc.SessionDescription | None = None,
    resume: ResumeRequest | None = None,
) -> str:
    """Build the percent-encoded query of an endpoint.

    `/rtc/v1` takes one parameter, `join_request`: padded base64url of a `WrappedJoinRequest`, gzipped when that makes
    it smaller. `/rtc` takes one parameter for each setting, and no offer.

    Raises:
        ValueError: If `options.sdk_name` is not one of `ClientInfo.SDK`.
    """
    if path == "v1":
        return urlencode({"join_request": _wrap(join_request(options, publisher_offer, resume))})
    info = client_info(options)
    query: dict[str, str | int] = {
        "protocol": info.protocol,
        "client_protocol": info.client_protocol,
        "sdk": options.sdk_name.lower().replace("_", ""),
        "version": info.version,
        "os": info.os,
        "os_version": info.os_version,
        "auto_subscribe": int(options.auto_subscribe),
        "adaptive_stream": int(options.adaptive_stream),
    }
    if CAPABILITIES:
        query["capabilities"] = ",".join(proto_models.ClientInfo.Capability.Name(c) for c in CAPABILITIES)
    if resume is not None:
        query |= {"reconnect": 1, "sid": resume.participant_sid}
        if resume.reason:
            query["reconnect_reason"] = int(resume.reason)
    return urlencode(query)
