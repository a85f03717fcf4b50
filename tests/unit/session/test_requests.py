from __future__ import annotations

import asyncio

import pytest
from livekit.protocol import models, rtc

from aiolivekit.errors import AlreadyPublishedError, ClosedError, RequestError, RequestTimeoutError
from aiolivekit.session.requests import AnswerLostError, PendingRequests


def published(cid: str, sid: str) -> rtc.TrackPublishedResponse:
    return rtc.TrackPublishedResponse(cid=cid, track=models.TrackInfo(sid=sid))


async def test_track_is_published() -> None:
    requests = PendingRequests()
    answer = requests.expect_track("c1")
    requests.track_published(published("c2", "TR_2"))
    requests.track_published(published("c1", "TR_1"))
    requests.track_published(published("c1", "TR_again"))
    assert (await requests.wait_for_track("c1", answer, 1)).sid == "TR_1"
    assert requests.unexpected == 1
    # The cid is free again.
    requests.expect_track("c1").cancel()


async def test_one_request_a_cid() -> None:
    requests = PendingRequests()
    requests.expect_track("c1")
    with pytest.raises(AlreadyPublishedError):
        requests.expect_track("c1")


async def test_track_is_refused() -> None:
    requests = PendingRequests()
    answer = requests.expect_track("c1")
    requests.answered(
        rtc.RequestResponse(
            reason=rtc.RequestResponse.NOT_ALLOWED, message="no", add_track=rtc.AddTrackRequest(cid="c1")
        )
    )
    with pytest.raises(RequestError, match="NOT_ALLOWED.*: no") as caught:
        await requests.wait_for_track("c1", answer, 1)
    assert caught.value.reason == rtc.RequestResponse.NOT_ALLOWED


async def test_track_times_out() -> None:
    requests = PendingRequests()
    with pytest.raises(RequestTimeoutError):
        await requests.wait_for_track("c1", requests.expect_track("c1"), 0.01)


async def test_answers_before_and_after_the_question() -> None:
    requests = PendingRequests()
    early, late = 1, 2
    assert early != late
    requests.answered(rtc.RequestResponse(request_id=early))
    assert (await requests.response(early, 1)).request_id == early
    waiting = asyncio.create_task(requests.response(late, 1))
    await asyncio.sleep(0)
    requests.answered(rtc.RequestResponse(request_id=late))
    assert (await waiting).request_id == late
    with pytest.raises(RequestTimeoutError):
        await requests.response(late, 0.01)


async def test_unclaimed_answers_are_bounded() -> None:
    requests = PendingRequests()
    for number in range(1, 1001):
        requests.answered(rtc.RequestResponse(request_id=number))
    assert len(requests._unclaimed) == 128
    requests.answered(rtc.RequestResponse())
    assert requests.unexpected == 1


async def test_close_ends_every_wait() -> None:
    requests = PendingRequests()
    track = asyncio.create_task(requests.wait_for_track("c", requests.expect_track("c"), 5))
    other = asyncio.create_task(requests.response(1, 5))
    await asyncio.sleep(0)
    requests.close(ClosedError("over"))
    for task in (track, other):
        with pytest.raises(ClosedError, match="over"):
            await task
    with pytest.raises(ClosedError):
        requests.expect_track("d")
    with pytest.raises(ClosedError):
        await requests.response(2, 5)


async def test_cancelling_a_wait_leaves_nothing() -> None:
    requests = PendingRequests()
    task = asyncio.create_task(requests.response(1, 5))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert requests._responses == {}


async def test_an_answer_lost_with_the_link_is_not_waited_for_much_longer() -> None:
    requests = PendingRequests()
    # One asked over the link that was lost, one answered in time, one that goes out with the next link.
    futures = {cid: requests.expect_track(cid) for cid in ("lost", "answered", "later")}
    for cid in ("lost", "answered"):
        requests.track_asked(cid)
    waits = {cid: asyncio.ensure_future(requests.wait_for_track(cid, futures[cid], 5.0)) for cid in futures}
    await asyncio.sleep(0)
    requests.resumed()
    requests.track_asked("later")
    requests.track_published(rtc.TrackPublishedResponse(cid="answered", track=models.TrackInfo(sid="TR_1")))
    assert (await waits["answered"]).sid == "TR_1"
    with pytest.raises(AnswerLostError):
        await waits["lost"]
    assert not waits["later"].done()
    # Its cid may be used again.
    requests.expect_track("lost")
    requests.close(ClosedError("closed"))
    with pytest.raises(ClosedError):
        await waits["later"]


async def test_a_request_that_did_not_go_out_is_forgotten() -> None:
    requests = PendingRequests()
    requests.expect_track("cid")
    requests.forget_track("cid")
    requests.track_asked("cid")
    requests.resumed()
    requests.expect_track("cid")
    requests.close(ClosedError("closed"))


async def test_a_response_lost_with_the_link_is_not_waited_for_much_longer() -> None:
    requests = PendingRequests()
    lost, answered = (asyncio.ensure_future(requests.response(number, 5.0)) for number in (1, 2))
    await asyncio.sleep(0)
    requests.resumed()
    later = asyncio.ensure_future(requests.response(3, 5.0))
    requests.answered(rtc.RequestResponse(request_id=2))
    assert (await answered).request_id == 2
    with pytest.raises(AnswerLostError):
        await lost
    assert not later.done()
    requests.close(ClosedError("closed"))
    with pytest.raises(ClosedError):
        await later
