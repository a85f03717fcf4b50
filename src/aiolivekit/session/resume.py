"""A resume: the same session over a new signalling link, step by step.

The order is LiveKit's (`signalling-reconnection.allium` of its specifications, the resume chain) and fixed: the
server has to have our state again before it hears anything that builds on it.
"""

# ruff: noqa: SLF001 - a resume is the inside of a session

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from ..errors import ConnectError, NegotiationError, ProtocolError, SignalClosedError, TransportError
from ..signalling.client import ResumeRequest, SignalClient
from .stats import surely_arrived_before

if TYPE_CHECKING:
    from .session import RtcSession

__all__ = ["Resume", "RoomState"]

_SETTLE = 1.0
"""Seconds in which the media path has to show that it works; libwebrtc checks it every half second."""


@dataclass(slots=True)
class RoomState:
    """The part of `SyncState` that the room knows.

    Args:
        subscription: The tracks for which our wish differs from what the server does by itself.
        publish_tracks: Our tracks with their cids.
        publish_data_tracks: Our data tracks.
        track_sids_disabled: Subscribed tracks that are switched off.
    """

    subscription: rtc.UpdateSubscription = field(default_factory=rtc.UpdateSubscription)
    publish_tracks: list[rtc.TrackPublishedResponse] = field(default_factory=list)
    publish_data_tracks: list[rtc.PublishDataTrackResponse] = field(default_factory=list)
    track_sids_disabled: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Resume:
    """What a resume needs, and what it found.

    Args:
        reason: What the server is told.
        signalled: Called when signalling is back; what it returns goes to the server.
    """

    reason: models.ReconnectReason
    signalled: Callable[[rtc.ReconnectResponse], Awaitable[RoomState]]
    replayed: int = 0
    """Reliable packets sent again."""
    missing: int = 0
    """Reliable packets that the server has not got and that are not kept any more."""
    seen: set[str] | None = None
    """The sids of the participants the server told of since; `None` when it told of none."""

    async def run(self, session: RtcSession, token: str) -> None:
        """Resume.

        Args:
            session: What is resumed.
            token: The newest there is.

        Raises:
            ConnectError: One of its kinds, by cause; `TransportError` when signalling came back and the media path
                did not. The session can be resumed again.
            ClosedError: If the session is closed.
        """
        if session._closed is not None:
            raise session._closed
        session._forget_late_loss()
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        session._resuming, session._seen = lost, None
        try:
            signal, response = await self._reopen(session, token)
            self.replayed, self.missing = session.channels.replay(response.last_message_seq)
            session._watch.end()
            flight = session._context.flight
            flight.note("engine", "signalling is back", replayed=self.replayed, missing=self.missing)
            state = await self.signalled(response)
            signal.post(rtc.SignalRequest(sync_state=self._sync_state(session, state)))
            signal.start()
            await _first(self._media(session, response), lost)
            if signal.closed:
                raise SignalClosedError("the signalling connection was lost while resuming")
            signal.flush_gate()
            session.requests.resumed()
            session._doubtful_since = None
        finally:
            self.seen, session._seen = session._seen, None
            session._resuming = None
            if lost.done() and not lost.cancelled():
                lost.exception()

    async def _reopen(self, session: RtcSession, token: str) -> tuple[SignalClient, rtc.ReconnectResponse]:
        old = session.signal
        old.abandon()
        session.peers.suspend()
        interval, timeout = session._ping
        request = ResumeRequest(session._participant_sid, self.reason, old.path, interval, timeout)
        try:
            signal = await SignalClient.connect(
                old.url,
                token,
                session._options.signal,
                session._dispatcher,
                resume=request,
                flight=session._context.flight,
            )
        except ConnectError:
            session._watch.refused()
            raise
        signal.take_over(old)
        session._signal = signal
        await old.aclose()
        if not isinstance(signal.first, rtc.ReconnectResponse):
            # A server that knows no resumes lets us join anew, into a session we have no peers for.
            raise ProtocolError("the server answered a resume with a join")
        return signal, signal.first

    def _sync_state(self, session: RtcSession, state: RoomState) -> rtc.SyncState:
        offer, answer = session.peers.descriptions()
        return rtc.SyncState(
            offer=offer,
            answer=answer,
            subscription=state.subscription,
            publish_tracks=state.publish_tracks,
            data_channels=session.channels.describe(),
            track_sids_disabled=state.track_sids_disabled,
            datachannel_receive_states=session.channels.incoming.states(),
            publish_data_tracks=state.publish_data_tracks,
        )

    async def _media(self, session: RtcSession, response: rtc.ReconnectResponse) -> None:
        limit = session._options.peer_timeout
        try:
            async with asyncio.timeout(limit):
                # An ICE restart makes libwebrtc and the server forget a path before they have another: for a quarter
                # of a second nothing arrives. So a path that is seen to work is left alone.
                alive = await session.peers.publisher_alive(_SETTLE)
                session._context.flight.note("peers", "path alive" if alive else "path dead", peer="publisher")
                if not alive and session._doubtful_since is None:
                    # It may be back before the end of this, and then be heard while it still lacks what was sent.
                    session._doubtful_since = surely_arrived_before(await session.get_stats())
                ticket = session.peers.resume(response, ice_restart=not alive)
                if ticket is not None:
                    await session.peers.negotiated(ticket)
                await session.media_connected()
                # A peer connection says `connected` for seconds after its path died.
                while not alive and session.peers.publisher_used and not await session.peers.publisher_alive(_SETTLE):
                    await session.media_connected()
        except TimeoutError:
            raise TransportError(f"the media path did not come back within {limit:g} s") from None
        except NegotiationError as error:
            raise TransportError("the media path could not be negotiated", detail=str(error)) from error


async def _first(work: Awaitable[None], lost: asyncio.Future[None]) -> None:
    """Do the work, unless what it rests on is lost first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task, lost], return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            lost.result()
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            # Both may have failed at once; then the loss is the better word.
            task.exception()
