"""What the SCTP layer needs of the DTLS transport below it (not aiortc's file: see README.md)."""

from typing import Protocol


class DataReceiver(Protocol):
    """The layer that takes decrypted data."""

    async def _handle_data(self, data: bytes) -> None: ...


class RTCDtlsTransport(Protocol):
    """The layer that encrypts and sends data."""

    state: str
    _role: str

    def _register_data_receiver(self, receiver: DataReceiver) -> None: ...

    def _unregister_data_receiver(self, receiver: DataReceiver) -> None: ...

    async def _send_data(self, data: bytes) -> None: ...
