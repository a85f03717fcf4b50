"""`livekit.rtc`, by aiolivekit: found before the official package while the drop-in is installed.

Nothing is loaded before it is used, and every module below is `aiolivekit.rtc`'s own under a second name.
"""

from typing import TYPE_CHECKING, Any

from aiolivekit import rtc as _rtc
from aiolivekit.rtc import __all__ as __all__
from aiolivekit.rtc import __version__ as __version__

if TYPE_CHECKING:
    from aiolivekit.rtc import *


def __getattr__(name: str) -> Any:
    value = getattr(_rtc, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return dir(_rtc)
