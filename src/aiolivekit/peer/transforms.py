"""Encoded frames on their way between codec and network, changed by a chain of steps on the media thread.

Each sender and each receiver can have one chain. A step belongs to a layer, and the layers are ordered by their
distance from the codec: what is sent passes them upwards, what is received downwards. So whoever adds a trailer to
the frames need not know of whoever encrypts them. The order of the layers is that of LiveKit's other clients.

The frames run on the process' media thread and not on the application's loop: a handler that blocks that loop must
not cost frames (libwebrtc holds 60 of them and then drops the oldest). `webrtc.RTCRtpScriptTransform` gives them as
W3C streams, which costs more than encrypting them, so this takes them where those streams take them. What is private
to wrtc here is kept to this module, and a contract test names it.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable
from typing import Any

import webrtc
from webrtc.base import WebRTCObject
from webrtc.utils.loops import LoopState

from . import media_thread
from .media_thread import MediaThread, Wakeups

__all__ = ["EncodedFrame", "FrameChain", "FrameChains", "FrameLayer", "FrameStep"]

_logger = logging.getLogger("aiolivekit.peer")


class FrameLayer(enum.IntEnum):
    """Where in a chain a step stands; the higher, the farther from the codec."""

    CIPHER = 0
    """Encryption end to end."""
    TRAILER = 1
    """What LiveKit's clients append to a frame that is encrypted already: a trailer is readable for the server."""


class EncodedFrame:
    """A frame as the codec made it, or as it will get it; steps change `data`.

    All but `data` and `kind` is asked of libwebrtc when it is first read. A frame is worth nothing once it has left its
    chain.
    """

    __slots__ = ("_metadata", "_native", "data", "kind")

    def __init__(self, native: Any, kind: str) -> None:
        self._native = native
        self._metadata: dict[str, Any] | None = None
        self.data: bytes | bytearray = native.getData()
        """The content. It may be changed in place as long as it is a `bytearray`, or replaced."""
        self.kind = kind
        """`"audio"` or `"video"`."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What libwebrtc knows of the frame, with the names of `RTCEncodedVideoFrameMetadata` in JavaScript.

        Besides those, `keyFrame` and `rid` of video.
        """
        if self._metadata is None:
            self._metadata = self._native.getMetadata()
        return self._metadata

    @property
    def codec(self) -> str:
        """The name of the codec in small letters (`opus`, `vp8`); empty if libwebrtc does not know it."""
        return str(self.metadata.get("mimeType") or "").partition("/")[2].lower()

    @property
    def key_frame(self) -> bool:
        """Whether it can be decoded by itself; audio says no."""
        return self.metadata.get("keyFrame") is True

    @property
    def rid(self) -> str | None:
        """The encoding it belongs to, of several."""
        rid = self.metadata.get("rid")
        return rid if isinstance(rid, str) else None

    @property
    def ssrc(self) -> int:
        """The RTP stream it belongs to."""
        return int(self.metadata.get("synchronizationSource") or 0)

    @property
    def rtp_timestamp(self) -> int:
        """Its moment on the clock of its RTP stream (32 bits)."""
        return int(self.metadata.get("rtpTimestamp") or 0)

    def __repr__(self) -> str:
        return f"EncodedFrame({self.kind}, {len(self.data)} bytes)"


FrameStep = Callable[[EncodedFrame], bool]
"""Changes a frame on the media thread and returns whether it goes on. It must not block; if it raises, the frame is
dropped and counted."""


class FrameChain:
    """The steps that the frames of one sender or one receiver pass, in order.

    Made by `FrameChains`. Steps may be set from any thread at any time; a frame sees all of a change or nothing of it.
    """

    def __init__(self, kind: str, *, outgoing: bool, sealed: bool) -> None:
        self.kind = kind
        """`"audio"` or `"video"`."""
        self.outgoing = outgoing
        """Whether it is that of a sender."""
        self.sealed = sealed
        """Whether frames are dropped as long as there is no step in the layer `CIPHER`."""
        self.passed = 0
        """Frames that went on."""
        self.dropped = 0
        """Frames that a step, or the lack of one, ended."""
        self.failed = 0
        """Frames over which a step raised."""
        self._lock = threading.Lock()
        self._by_layer: dict[FrameLayer, FrameStep] = {}
        # Replaced as a whole, so that the media thread reads it without a lock; `None` lets nothing pass.
        self._steps: tuple[FrameStep, ...] | None = None
        self._arrange()
        self._transform: _Transform | None = _Transform(self)

    def set_step(self, layer: FrameLayer, step: FrameStep | None) -> None:
        """Set the step of a layer, in place of the one before; `None` takes it away."""
        with self._lock:
            if step is None:
                self._by_layer.pop(layer, None)
            else:
                self._by_layer[layer] = step
            self._arrange()

    def clear(self) -> None:
        """Take all steps away: another track is going to pass."""
        with self._lock:
            self._by_layer.clear()
            self._arrange()

    def _arrange(self) -> None:
        layers = sorted(self._by_layer, reverse=not self.outgoing)
        open_ = FrameLayer.CIPHER in self._by_layer or not self.sealed
        self._steps = tuple(self._by_layer[layer] for layer in layers) if open_ else None

    def request_key_frame(self) -> None:
        """Ask the other side for a frame that can be decoded by itself; nothing for senders and for audio."""
        transform = self._transform
        if transform is not None and not self.outgoing and self.kind == "video":
            transform._native_obj.sendKeyFrameRequest()

    def _attach(self, part: webrtc.RTCRtpSender | webrtc.RTCRtpReceiver) -> None:
        assert self._transform is not None
        part.transform = self._transform

    def _close(self) -> None:
        with self._lock:
            self._by_layer.clear()
            self._steps = None
            transform, self._transform = self._transform, None
        if transform is not None:
            _host.release()

    def _on_frames(self, native: Any) -> None:
        """Take what has come in through the chain, on the media thread."""
        native._ackWakeup()  # before reading: what comes in while we read must wake us again
        read, write, kind = native.read, native.write, self.kind
        while (item := read()) is not None:
            steps = self._steps
            if steps is None:
                self.dropped += 1
            elif not steps:
                write(item, None)
                self.passed += 1
            else:
                self._take(steps, item, kind, write)

    def _take(self, steps: tuple[FrameStep, ...], item: Any, kind: str, write: Callable[[Any, Any], object]) -> None:
        try:
            frame = EncodedFrame(item, kind)
            for step in steps:
                if not step(frame):
                    self.dropped += 1
                    return
            write(item, frame.data)
        except Exception:
            self.failed += 1
            if self.failed == 1:
                _logger.exception("a frame of %s was dropped, and others that fail so will be", kind)
        else:
            self.passed += 1


class FrameChains:
    """The chains of one peer connection.

    Args:
        sealed: Whether nothing may pass unencrypted: then each sender and receiver has a chain from its beginning, and
            its frames are dropped until a step of the layer `CIPHER` is set.
    """

    def __init__(self, *, sealed: bool = False) -> None:
        self.sealed = sealed
        self._chains: dict[int, FrameChain] = {}
        self._closed = False

    def of_sender(self, transceiver: webrtc.RTCRtpTransceiver) -> FrameChain:
        """Return the chain of a sender, made when it is first asked for.

        That should be before it is negotiated: a video encoder that runs already begins anew.
        """
        return self._of(transceiver.sender, transceiver, outgoing=True)

    def of_receiver(self, transceiver: webrtc.RTCRtpTransceiver) -> FrameChain:
        """Return the chain of a receiver, made when it is first asked for."""
        return self._of(transceiver.receiver, transceiver, outgoing=False)

    def _of(
        self,
        part: webrtc.RTCRtpSender | webrtc.RTCRtpReceiver,
        transceiver: webrtc.RTCRtpTransceiver,
        *,
        outgoing: bool,
    ) -> FrameChain:
        key = part._native_obj._id
        chain = self._chains.get(key)
        if chain is None:
            kind = "audio" if transceiver.receiver.track.kind == "audio" else "video"
            chain = FrameChain(kind, outgoing=outgoing, sealed=self.sealed)
            if self._closed:
                chain._close()
                return chain
            chain._attach(part)
            self._chains[key] = chain
        return chain

    def find(self, part: webrtc.RTCRtpSender | webrtc.RTCRtpReceiver) -> FrameChain | None:
        """Return the chain of a sender or a receiver if it has one."""
        return self._chains.get(part._native_obj._id)

    def seal(self, transceivers: list[webrtc.RTCRtpTransceiver]) -> None:
        """Give each receiver its chain, before anything arrives in it; does nothing unless `sealed`."""
        if self.sealed:
            for transceiver in transceivers:
                self.of_receiver(transceiver)

    def close(self) -> None:
        """Let go of all chains; no frame passes any more."""
        self._closed = True
        for chain in self._chains.values():
            chain._close()
        self._chains.clear()


class _Transform(webrtc.RTCRtpScriptTransform):
    """A script transform without streams, bound to the media thread's loop by whichever thread makes it."""

    __slots__ = ()

    def __init__(self, chain: FrameChain) -> None:
        WebRTCObject.__init__(self)
        self._transformer = _Transformer(self, chain)
        # Without a binding nothing is reported; it is lasting, since the host keeps the thread alive.
        loop = _host.hold().loop
        self._native_obj._bind(LoopState.of(loop).mailbox)


class _Transformer(webrtc.RTCRtpScriptTransformer):
    """Whom libwebrtc tells that frames have come in."""

    __slots__ = ("_chain",)

    def __init__(self, transform: _Transform, chain: FrameChain) -> None:
        self._handlers = None
        self._transform = transform
        self._chain = chain

    def _on_event(self, name: str, *_args: object) -> None:
        if name == "_ready":
            self._chain._on_frames(self._native_obj)

    @staticmethod
    def _activity() -> str | None:
        return None  # its chain is kept by the peer connection


class _Host:
    """Keeps the media thread alive while there are chains (a `Ticker` that has nothing to play)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chains = 0

    def hold(self) -> MediaThread:
        """Count one chain more; return the thread."""
        with self._lock:
            self._chains += 1
            return media_thread.attach(self)

    def release(self) -> None:
        """Count one less; with the last the thread may end."""
        with self._lock:
            self._chains -= 1
            if self._chains == 0:
                media_thread.detach(self)

    def _tick(self, periods: int, wakeups: Wakeups) -> int:
        return media_thread.NEVER

    def _fail(self, error: Exception, wakeups: Wakeups) -> None:
        pass


_host = _Host()
