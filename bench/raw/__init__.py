"""A client of bare RTP, for load: signalling, ICE, DTLS and SRTP, and no codec, jitter buffer or congestion control."""
