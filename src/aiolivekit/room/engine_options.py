"""What the options of a room are for its engine."""

from __future__ import annotations

from ..options import BackoffPolicy, EngineOptions, Outage, RoomOptions, RtcConfiguration, SignalOptions

__all__ = ["engine_options_of"]


def engine_options_of(options: RoomOptions) -> EngineOptions:
    """Return the options of `RtcEngine.connect` for those of `Room.connect`."""
    signal = SignalOptions(
        auto_subscribe=options.auto_subscribe,
        adaptive_stream=options.adaptive_stream,
        single_peer_connection=options.single_peer_connection is not False,
        proxy=options.proxy,
        ssl_context=options.ssl_context,
        session=options.http_session,
    )
    if options.connect_timeout is not None:
        signal.connect_timeout = options.connect_timeout
    return EngineOptions(
        rtc_config=options.rtc_config or RtcConfiguration(),
        signal=signal,
        join_retries=options.join_retries,
        reconnect_policy=options.reconnect_policy or BackoffPolicy(),
        outage=options.outage or Outage(),
        token_source=options.token_source,
    )
