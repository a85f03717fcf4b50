"""Every error this package raises on purpose.

`LiveKitError` is the base of all of them. An error that ends or prevents a connection is a `ConnectError`; it
carries what the server said, when it said anything. No message contains a token, a key or an address.
"""

from __future__ import annotations

__all__ = [
    "AlreadyPublishedError",
    "CaptureError",
    "ChannelClosedError",
    "ClosedError",
    "CodecUnavailableError",
    "ConnectError",
    "ConnectTimeoutError",
    "DataTimeoutError",
    "EncryptionError",
    "EngineError",
    "FlightLogError",
    "ForkError",
    "InvalidTokenError",
    "InvalidUrlError",
    "LiveKitError",
    "MediaError",
    "MediaFileError",
    "MissingKeyError",
    "NegotiationError",
    "NotConnectedError",
    "OutboxFullError",
    "PacketTooLargeError",
    "PermissionDeniedError",
    "PlatformAudioError",
    "ProtocolError",
    "PublishDataTrackError",
    "PublishError",
    "PushFrameError",
    "RecordingError",
    "RequestError",
    "RequestTimeoutError",
    "RoomNotFoundError",
    "ServerFullError",
    "ServerLeaveError",
    "ServerRefusedError",
    "SignalClosedError",
    "StreamAbortedError",
    "StreamDamagedError",
    "StreamDisconnectedError",
    "StreamError",
    "StreamTimeoutError",
    "StreamTooLargeError",
    "SubscribeDataTrackError",
    "TlsError",
    "TokenExpiredError",
    "TokenSourceError",
    "TransportError",
    "UnreachableError",
    "UnsupportedError",
]


class LiveKitError(Exception):
    """The base of all errors of this package.

    Args:
        message: What went wrong.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class ClosedError(LiveKitError, RuntimeError):
    """The object was closed (by the program or by the server) before the call could finish.

    A `RuntimeError` too, since the official SDK raises that.
    """


class NotConnectedError(LiveKitError, RuntimeError):
    """The room is not connected. A `RuntimeError` too, since the official SDK raises that."""


class FlightLogError(LiveKitError, ValueError):
    """A file is no flight record."""


class ForkError(LiveKitError):
    """A forked child used peers it inherited; libwebrtc's threads do not survive a fork. Use spawn, or fork first."""


class ConnectError(LiveKitError):
    """The connection could not be made.

    Args:
        message: What went wrong.
        status: The HTTP status the server answered with, if it did.
        detail: What the server said, if it did.
    """

    def __init__(self, message: str, *, status: int | None = None, detail: str = "") -> None:
        super().__init__(f"{message}: {detail}" if detail else message)
        self.message = message
        self.status = status
        self.detail = detail

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without a change by the user."""
        return True


class InvalidUrlError(ConnectError, ValueError):
    """The URL is not one of a LiveKit server."""

    @property
    def retryable(self) -> bool:
        """False."""
        return False


class InvalidTokenError(ConnectError):
    """The server refused the token (401): malformed, or signed by another key."""

    @property
    def retryable(self) -> bool:
        """False."""
        return False


class TokenExpiredError(InvalidTokenError):
    """The server refused the token (401) because it has expired."""


class TokenSourceError(ConnectError):
    """The server refused the token, and the application's `token_source` gave no other one.

    Its cause is what the source raised, if it raised anything.
    """


class PermissionDeniedError(ConnectError):
    """The token does not allow to join (401 or 403: no join grant, no room)."""

    @property
    def retryable(self) -> bool:
        """False."""
        return False


class RoomNotFoundError(ConnectError):
    """The room does not exist and the server does not create it (404)."""

    @property
    def retryable(self) -> bool:
        """False."""
        return False


class ServerFullError(ConnectError):
    """The server or the room takes no more participants (429, 503, or a join failure that says so)."""


class ServerRefusedError(ConnectError):
    """The server answered with another error than the named ones."""

    @property
    def retryable(self) -> bool:
        """False when the status says that the request itself is wrong."""
        return self.status not in (400, 404, 414, 431)


class UnreachableError(ConnectError):
    """No server answers there: name not found, refused, network unreachable."""


class TlsError(ConnectError):
    """The TLS handshake failed."""

    @property
    def retryable(self) -> bool:
        """False."""
        return False


class ConnectTimeoutError(ConnectError, TimeoutError):
    """A step of connecting took longer than its limit; `message` names the step."""


class ProtocolError(ConnectError):
    """What answered does not speak LiveKit's protocol."""


class SignalClosedError(ConnectError):
    """The signalling connection was closed before or while joining."""


class ServerLeaveError(ConnectError):
    """The server sent a leave request instead of letting us in.

    Args:
        message: What went wrong.
        reason: A `DisconnectReason` number.
        action: A `LeaveRequest.Action` number.
        regions: Where to join instead, if the server says so; the nearest first.
    """

    def __init__(self, message: str, *, reason: int = 0, action: int = 0, regions: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.action = action
        self.regions = regions


class TransportError(ConnectError):
    """The media path (ICE, DTLS) could not be made or was lost."""


class EngineError(LiveKitError):
    """The engine could not do what was asked."""


class NegotiationError(EngineError):
    """An offer was not answered in time, or could not be applied."""


class ChannelClosedError(EngineError):
    """The data channel closed before the packet could be handed over."""


class OutboxFullError(EngineError):
    """Too many data packets wait for the connection to come back, or durable ones for receivers; this was not taken."""


class DataTimeoutError(EngineError, TimeoutError):
    """The connection did not come back in time; the data packet was not sent."""


class PacketTooLargeError(EngineError, ValueError):
    """The packet is larger than the data channel takes.

    Args:
        size: The size of the serialised packet in bytes.
        limit: The largest size allowed in bytes.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the packet has {size} bytes serialised, the limit is {limit}")
        self.size = size
        self.limit = limit


class EncryptionError(EngineError):
    """Something could not be encrypted end to end, or a key is not what it should be; nothing was sent in the clear."""


class MissingKeyError(EncryptionError, LookupError):
    """There is no key under that index."""


class RequestError(EngineError):
    """The server refused a request.

    Args:
        request: Which request it was, for the message.
        reason: A `RequestResponse.Reason` number.
        detail: What the server said.
    """

    def __init__(self, request: str, *, reason: int = 0, reason_name: str = "", detail: str = "") -> None:
        words = f"the server refused to {request}"
        if reason_name:
            words += f" ({reason_name})"
        super().__init__(f"{words}: {detail}" if detail else words)
        self.reason = reason
        self.reason_name = reason_name
        self.detail = detail


class RequestTimeoutError(EngineError, TimeoutError):
    """The server did not answer a request in time."""


class PublishError(EngineError):
    """A track could not be published."""


class AlreadyPublishedError(PublishError):
    """The track is published already."""


class PublishDataTrackError(PublishError):
    """A data track could not be published.

    Args:
        message: Why.
        reason: A `RequestResponse.Reason` number, if the server refused.
        reason_name: The name of that reason.
    """

    def __init__(self, message: str, *, reason: int = 0, reason_name: str = "") -> None:
        super().__init__(f"{message} ({reason_name})" if reason_name else message)
        self.message = message
        self.reason = reason
        self.reason_name = reason_name


class PushFrameError(LiveKitError):
    """A frame could not be pushed to a data track: it is published no more, or the frame is too large.

    Args:
        message: Why.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SubscribeDataTrackError(LiveKitError):
    """A data track could not be subscribed to.

    Args:
        message: Why.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MediaError(LiveKitError):
    """A frame, a source or a stream was used in a way it does not allow."""


class UnsupportedError(MediaError, NotImplementedError):
    """What libwebrtc as it is here cannot do; the message names the alternative."""


class CodecUnavailableError(UnsupportedError):
    """A codec that libwebrtc as it is here does not have; of H.264 the message says how to get it."""


class PlatformAudioError(MediaError):
    """A microphone or speaker could not be listed, chosen or opened."""


class MediaFileError(MediaError):
    """A file or URL could not be opened, read or decoded, or the `media` extra is missing."""


class CaptureError(MediaError):
    """A camera or screen could not be opened, or gave no more pictures, or the `media` extra is missing."""


class RecordingError(MediaError):
    """A recording could not be begun or written (no such container, no room on the disk, no permission).

    What was written before is kept. Its cause is what the system said, if it said anything.
    """


class StreamError(LiveKitError, ConnectionError):
    """A data stream could not be sent, or ended otherwise than it should; one of its kinds, by cause.

    A `ConnectionError` too, since the official SDK's is one.

    Args:
        description: What went wrong.
    """

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description


class StreamAbortedError(StreamError):
    """A data stream ended before its time: its sender gave it up or left, or those it was for have left."""


class StreamDamagedError(StreamError):
    """A part of a data stream is missing, or what arrived is not what was announced."""


class StreamTooLargeError(StreamError, ValueError):
    """A data stream is larger than its receiver takes or holds, or its header than a packet."""


class StreamTimeoutError(StreamError, TimeoutError):
    """A data stream stood still for too long."""


class StreamDisconnectedError(StreamError, ClosedError):
    """The room was disconnected in the middle of a data stream."""
