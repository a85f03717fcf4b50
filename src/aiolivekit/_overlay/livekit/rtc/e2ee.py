"""`aiolivekit.rtc.e2ee` under the official name."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolivekit.rtc.e2ee import *

sys.modules[__name__] = importlib.import_module("aiolivekit.rtc.e2ee")
