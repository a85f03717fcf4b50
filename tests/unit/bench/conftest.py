from __future__ import annotations

import sys
from pathlib import Path

# The benchmark is no part of the package: it runs from the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
