"""RTP and RTCP without I/O: headers, feedback, and what a forwarder has to rewrite."""
