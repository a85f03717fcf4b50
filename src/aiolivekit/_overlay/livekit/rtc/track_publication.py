"""`aiolivekit.rtc.track_publication` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc.track_publication import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc.track_publication")
