"""What changes frames on their way to the program, such as noise cancellation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from .audio_frame import AudioFrame
from .video_frame import VideoFrame

__all__ = ["FrameProcessor", "StreamPlace"]

FrameT = TypeVar("FrameT", bound=AudioFrame | VideoFrame)


@dataclass(frozen=True, slots=True, repr=False)
class StreamPlace:
    """Where a track is, as its processors are told it; the room sets it as `_place` of its tracks.

    It has no representation, since that would have the token in it.

    Attributes:
        room_name: The room.
        participant_identity: Whose track it is.
        publication_sid: The publication.
        url: The server the program is connected to.
        token: What it is connected with.
    """

    room_name: str
    participant_identity: str
    publication_sid: str
    url: str
    token: str

    @property
    def stream_info(self) -> dict[str, str]:
        """The arguments of `_on_stream_info_updated`."""
        return {
            "room_name": self.room_name,
            "participant_identity": self.participant_identity,
            "publication_sid": self.publication_sid,
        }


class FrameProcessor(ABC, Generic[FrameT]):
    """Changes frames on their way to the program (`livekit.rtc.FrameProcessor`).

    Subclass it and give an instance to `AudioStream(noise_cancellation=…)`. Its methods are called on the stream's
    loop. The hooks keep the official SDK's names, underscores included, so that its processors work here too.
    """

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether frames are to be processed; otherwise they pass as they are."""

    @enabled.setter
    @abstractmethod
    def enabled(self, value: bool) -> None: ...

    def _on_stream_info_updated(
        self,
        *,
        room_name: str,
        participant_identity: str,
        publication_sid: str,
    ) -> None:
        """Where the frames come from; called when the stream is attached to a track in a room, or that changes."""

    def _on_stream_info_cleared(self) -> None:
        """The track has left its room."""

    def _on_credentials_updated(self, *, token: str, url: str) -> None:
        """What the program is connected with; called with the stream's information, and for each new token."""

    def _on_credentials_cleared(self) -> None:
        """The track has left its room."""

    @abstractmethod
    def _process(self, frame: FrameT) -> FrameT:
        """Return the frame to be passed on; if this raises, the frame is passed on as it was."""

    @abstractmethod
    def _close(self) -> None:
        """Release what the processor holds; the stream that owns it is closed."""
