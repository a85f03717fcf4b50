"""What can be set about a dev server; the defaults are the real server's unless a comment says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits", "ServerOptions"]


@dataclass(frozen=True)
class Limits:
    """Sizes above which requests are refused, in bytes or characters."""

    metadata: int = 512 * 1024
    attributes: int = 64 * 1024
    name: int = 256
    identity: int = 256
    room_name: int = 256
    pending_tracks: int = 20
    signal_message: int = 2 * 1024 * 1024
    api_request: int = 10 * 1024 * 1024
    join_request: int = 1024 * 1024


@dataclass(frozen=True)
class ServerOptions:
    """Times and limits of a server; times are in seconds.

    Args:
        ping_interval: How often clients are asked to ping.
        ping_timeout: After how much silence they give the connection up.
        empty_timeout: How long a room stays that nobody has joined.
        departure_timeout: How long a room stays after the last participant left.
        join_timeout: How long a participant may take to connect its media.
        media_timeout: After how much silence on all its paths a participant's media counts as lost.
        resume_timeout: How long a participant without media stays for a resume.
        update_interval: How long news of participants that publish nothing are collected. The real server takes 3 s;
            so long a wait in every test would be a waste.
        speaker_interval: How often speakers are looked at.
        quality_interval: How often connection qualities are looked at.
        room_update_interval: How long changes of a room's counts are collected. The real server takes 5 s.
        token_refresh_interval: How often clients get a new token.
        dynacast_delay: How long a layer that nobody wants goes on being sent.
        region: The region the server says it is in.
        limits: Sizes above which requests are refused.
    """

    ping_interval: int = 5
    ping_timeout: int = 15
    empty_timeout: int = 300
    departure_timeout: int = 20
    join_timeout: float = 60.0
    media_timeout: float = 10.0
    resume_timeout: float = 5.0
    update_interval: float = 0.05
    speaker_interval: float = 0.4
    quality_interval: float = 5.0
    room_update_interval: float = 0.5
    token_refresh_interval: float = 300.0
    dynacast_delay: float = 5.0
    region: str = ""
    limits: Limits = Limits()
