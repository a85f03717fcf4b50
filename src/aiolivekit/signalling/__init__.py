"""The signalling link to a LiveKit server: one WebSocket, protobuf both ways."""

from __future__ import annotations

from .client import ResumeRequest, SignalClient, SignalClosed, SignalCounters, SignalSink

__all__ = ["ResumeRequest", "SignalClient", "SignalClosed", "SignalCounters", "SignalSink"]
