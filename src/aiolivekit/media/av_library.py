"""FFmpeg, through PyAV (the package `av`, imported when first needed)."""

from __future__ import annotations

from types import ModuleType

from ..errors import MediaError

__all__ = ["failure", "require_av"]


def require_av(error: type[MediaError]) -> ModuleType:
    """Import and return `av`.

    Args:
        error: What to raise if it is not installed.

    Raises:
        MediaError: The one that was given.
    """
    try:
        import av
    except ImportError:
        raise error("files, cameras and screens need the 'media' extra: pip install 'aiolivekit[media]'") from None
    return av


def failure(what: str, cause: Exception, error: type[MediaError]) -> MediaError:
    """Return an error that says what FFmpeg, or the system, said.

    Where the file is, it does not say: addresses may contain passwords.
    """
    words = getattr(cause, "strerror", None) or type(cause).__name__
    found = error(f"{what}: {words}")
    found.__cause__ = cause
    return found
