"""The SCTP layer of aiortc; `README.md` says where it comes from and why it is here."""

# The two modules import each other and only load in this order.
from . import rtcdatachannel, rtcsctptransport

__all__ = ["rtcdatachannel", "rtcsctptransport"]
