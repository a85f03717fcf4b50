"""Signalling transcripts of the real server and of the dev server, recorded, normalised and compared."""
