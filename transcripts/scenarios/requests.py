"""Requests no client of ours would make, said in a client's place."""

from __future__ import annotations

from livekit.protocol import models, rtc

from ..stage import Stage
from . import scenario

_Q = rtc.SignalRequest


def _add(cid: str, **fields: object) -> rtc.SignalRequest:
    return _Q(add_track=rtc.AddTrackRequest(**({"cid": cid, "name": cid, "type": models.TrackType.AUDIO} | fields)))


_ANSWERED = (
    ("mutes an unknown track", _Q(mute=rtc.MuteTrackRequest(sid="TR_none", muted=True))),
    ("changes an unknown audio track", _Q(update_audio_track=rtc.UpdateLocalAudioTrack(track_sid="TR_none"))),
    ("changes an unknown video track", _Q(update_video_track=rtc.UpdateLocalVideoTrack(track_sid="TR_none", width=9))),
    ("trickles something else", _Q(trickle=rtc.TrickleRequest(candidateInit="{"))),
    ("adds a track", _add("one", source=models.TrackSource.MICROPHONE)),
    ("adds the same track again", _add("one", source=models.TrackSource.MICROPHONE)),
    ("adds data as a track", _add("data", type=models.TrackType.DATA)),
    ("adds a codec of an unknown track", _add("more", sid="TR_none", type=models.TrackType.VIDEO)),
    ("adds a track without a cid", _add("")),
    (
        "adds a video",
        _add(
            "video",
            type=models.TrackType.VIDEO,
            source=models.TrackSource.CAMERA,
            width=320,
            height=180,
            layers=[models.VideoLayer(quality=models.VideoQuality.HIGH, width=320, height=180)],
        ),
    ),
    (
        "adds a video with codecs",
        _add(
            "codecs",
            type=models.TrackType.VIDEO,
            simulcast_codecs=[
                rtc.SimulcastCodec(codec="vp9", cid="codecs"),
                rtc.SimulcastCodec(codec="vp8", cid="backup"),
            ],
        ),
    ),
    (
        "adds an encrypted stereo track",
        _add(
            "secret",
            stereo=True,
            disable_dtx=True,
            disable_red=True,
            encryption=models.Encryption.GCM,
            stream="s",
            audio_features=[models.AudioTrackFeature.TF_ECHO_CANCELLATION],
        ),
    ),
    (
        "publishes a data track",
        _Q(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=1, name="numbers")),
    ),
    (
        "publishes its handle again",
        _Q(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=1, name="other")),
    ),
    (
        "publishes its name again",
        _Q(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=2, name="numbers")),
    ),
    ("publishes a data track without a name", _Q(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=3))),
    ("publishes a data track with handle 0", _Q(publish_data_track_request=rtc.PublishDataTrackRequest(name="zero"))),
    ("unpublishes the data track", _Q(unpublish_data_track_request=rtc.UnpublishDataTrackRequest(pub_handle=1))),
    ("unpublishes an unknown data track", _Q(unpublish_data_track_request=rtc.UnpublishDataTrackRequest(pub_handle=9))),
)
"""Requests that may have an answer, in this order."""

_SILENT = (
    ("subscribes to nothing", _Q(subscription=rtc.UpdateSubscription(subscribe=True))),
    ("sends old layers", _Q(update_layers=rtc.UpdateVideoLayers(track_sid="TR_none"))),
    ("sends an empty request", _Q()),
    ("sends an empty sync state", _Q(sync_state=rtc.SyncState())),
    ("offers nonsense", _Q(offer=rtc.SessionDescription(type="offer", sdp="nonsense", id=3))),
)


@scenario()
async def odd_requests(stage: Stage) -> None:
    """What is wrong in itself is answered or ignored, and ends nothing."""
    await stage.step("alice joins")
    await stage.join("alice")
    await stage.step("bob joins")
    await stage.join("bob")
    for title, request in (*_ANSWERED, *_SILENT):
        await stage.step(f"alice {title}")
        await stage.inject("alice", request)
        if request.publish_data_track_request.name in ("numbers", "other"):
            # Her client knows of no such track and takes it back, on a busy machine a while later.
            await stage.told("alice", "unpublish_data_track_response")


@scenario(clocked=("ping", "ping_req", "pong", "pong_resp"), kits=("wire",))
async def pings(stage: Stage) -> None:
    """Both kinds of ping."""
    await stage.step("alice joins")
    alice = await stage.wire("alice")
    await stage.told("alice", "join")
    await stage.step("alice pings as old clients do")
    await alice.send(_Q(ping=1))
    await stage.told("alice", "pong", lambda _: True)
    await stage.step("alice pings")
    await alice.send(_Q(ping_req=rtc.Ping(timestamp=5, rtt=1)))
    await stage.told("alice", "pong_resp")


@scenario()
async def refused_tracks(stage: Stage) -> None:
    """Tracks the grants do not allow."""
    await stage.step("camera joins")
    await stage.join("camera", can_publish_sources=["camera"])
    await stage.step("nobody joins")
    await stage.join("nobody", can_publish=False, can_publish_data=False)
    for identity in ("camera", "nobody"):
        for source in (models.TrackSource.MICROPHONE, models.TrackSource.UNKNOWN):
            name = models.TrackSource.Name(source).lower()
            await stage.step(f"{identity} adds a {name}")
            await stage.inject(identity, _add(name, source=source))
            await stage.told(identity, "request_response")
    await stage.step("nobody publishes data")
    await stage.inject("nobody", _Q(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=1, name="n")))
