"""End-to-end encryption: keys and their ratchet, frames on the media thread, data packets in line.

The parts are imported where they are needed: `cryptography`, of the extra `e2ee`, is loaded with the first key.
"""
