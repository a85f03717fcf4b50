"""Requests to the server that wait for a word of it.

Two kinds exist in LiveKit's signalling: `AddTrackRequest`, answered by `TrackPublishedResponse` with the same cid, and
requests with a `request_id`, answered by `RequestResponse`. A refused `AddTrackRequest` comes back inside a
`RequestResponse`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from livekit.protocol import models, rtc

from ..errors import AlreadyPublishedError, RequestError, RequestTimeoutError

__all__ = ["AnswerLostError", "PendingRequests"]

_MAX_UNCLAIMED = 128
"""Answers kept for callers that have not asked yet; a server that sends more than this many is not waited for."""


_LATE_ANSWER = 0.5
"""Seconds after a resume in which the server may still answer what it was asked over the link before."""


class AnswerLostError(RequestTimeoutError):
    """The link was lost between a request and its answer, and the answer did not come over the next one.

    Whether the server knows of the request is not known. What only says how something is to be can be asked again; a
    track needs another `cid` then, since the same one would be queued behind itself.
    """


class PendingRequests:
    """The requests of one session that wait."""

    def __init__(self) -> None:
        self._tracks: dict[str, asyncio.Future[models.TrackInfo]] = {}
        self._responses: dict[int, asyncio.Future[rtc.RequestResponse]] = {}
        self._unclaimed: OrderedDict[int, rtc.RequestResponse] = OrderedDict()
        self._asked: set[str] = set()
        self._orphans: list[asyncio.Future[Any]] = []
        self._giving_up: asyncio.TimerHandle | None = None
        self._closed: Exception | None = None
        self.unexpected = 0

    # -- tracks --

    def expect_track(self, cid: str) -> asyncio.Future[models.TrackInfo]:
        """Return what `wait_for_track` takes; call it before the request is sent.

        Raises:
            AlreadyPublishedError: If a request with this cid waits already.
        """
        if self._closed is not None:
            raise self._closed
        if cid in self._tracks:
            raise AlreadyPublishedError("the track is being published already")
        future: asyncio.Future[models.TrackInfo] = asyncio.get_running_loop().create_future()
        self._tracks[cid] = future
        return future

    def track_asked(self, cid: str) -> None:
        """Take note that a request has gone out over the link in force."""
        if cid in self._tracks:
            self._asked.add(cid)

    def forget_track(self, cid: str) -> None:
        """Expect no answer any more: the request did not go out."""
        self._tracks.pop(cid, None)

    def resumed(self) -> None:
        """Wait no longer than a moment for answers to what was asked over links that are lost."""
        asked, self._asked = self._asked, set()
        self._orphans += [self._tracks[cid] for cid in asked if cid in self._tracks]
        # Who waits for a response has sent its request.
        self._orphans += self._responses.values()
        if self._orphans and self._giving_up is None and self._closed is None:
            self._giving_up = asyncio.get_running_loop().call_later(_LATE_ANSWER, self._give_up)

    def _give_up(self) -> None:
        self._giving_up = None
        orphans, self._orphans = self._orphans, []
        for future in orphans:
            if not future.done():
                future.set_exception(AnswerLostError("the answer of the server was lost with the connection"))
                future.exception()

    async def wait_for_track(
        self, cid: str, future: asyncio.Future[models.TrackInfo], timeout: float
    ) -> models.TrackInfo:
        """Wait for the server's `TrackPublishedResponse`.

        Raises:
            RequestError: If the server refuses.
            AnswerLostError: If the link was lost and with it, it seems, the answer.
            RequestTimeoutError: If it says nothing for `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                return await future
        except AnswerLostError:
            raise
        except TimeoutError:
            raise RequestTimeoutError(f"the server did not publish the track within {timeout:g} s") from None
        finally:
            if self._tracks.get(cid) is future:
                del self._tracks[cid]
                self._asked.discard(cid)

    def track_published(self, message: rtc.TrackPublishedResponse) -> None:
        """Take the server's word that a track is published."""
        future = self._tracks.get(message.cid)
        if future is None:
            self.unexpected += 1
        elif not future.done():
            future.set_result(message.track)

    # -- requests with an id --

    async def response(self, request_id: int, timeout: float) -> rtc.RequestResponse:
        """Wait for the answer to a request; it may have come already.

        Raises:
            AnswerLostError: If the link was lost and with it, it seems, the answer.
            RequestTimeoutError: If the server says nothing for `timeout` seconds.
        """
        if (answer := self._unclaimed.pop(request_id, None)) is not None:
            return answer
        if self._closed is not None:
            raise self._closed
        future = self._responses.setdefault(request_id, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(future)
        except AnswerLostError:
            raise
        except TimeoutError:
            raise RequestTimeoutError(f"the server did not answer within {timeout:g} s") from None
        finally:
            if self._responses.get(request_id) is future:
                del self._responses[request_id]
            if not future.done():
                future.cancel()

    def answered(self, message: rtc.RequestResponse) -> None:
        """Take the server's answer to a request."""
        if message.WhichOneof("request") == "add_track" and message.reason != rtc.RequestResponse.OK:
            future = self._tracks.get(message.add_track.cid)
            if future is not None and not future.done():
                future.set_exception(refusal("publish the track", message))
                return
        waiting = self._responses.get(message.request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        elif message.request_id:
            self._unclaimed[message.request_id] = message
            if len(self._unclaimed) > _MAX_UNCLAIMED:
                self._unclaimed.popitem(last=False)
        else:
            self.unexpected += 1

    def close(self, error: Exception) -> None:
        """End every wait with `error`."""
        self._closed = error
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        waiting: list[asyncio.Future[Any]] = [*self._tracks.values(), *self._responses.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                # The waiter may have been cancelled in the same step; then nobody looks at the exception.
                future.exception()
        self._tracks.clear()
        self._responses.clear()


def refusal(request: str, response: rtc.RequestResponse) -> RequestError:
    """Return the error for a request the server refused."""
    try:
        name = rtc.RequestResponse.Reason.Name(response.reason)
    except ValueError:
        name = str(response.reason)
    return RequestError(request, reason=response.reason, reason_name=name, detail=response.message)
