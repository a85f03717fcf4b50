"""Calls between participants."""

from __future__ import annotations

from ..room.rpc import IncomingRpcNext, OutgoingRpcNext, RpcCallInfo, RpcError, RpcInterceptor, RpcInvocationData

__all__ = ["IncomingRpcNext", "OutgoingRpcNext", "RpcCallInfo", "RpcError", "RpcInterceptor", "RpcInvocationData"]
