"""The modules of `aiolivekit.rtc._proto` under the official names."""
