from __future__ import annotations

import os

os.environ["WRTC_ALLOW_LOOPBACK"] = "1"
