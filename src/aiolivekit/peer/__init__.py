"""libwebrtc: the only package that imports `webrtc`."""
