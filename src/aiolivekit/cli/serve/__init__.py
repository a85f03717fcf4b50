"""`aiolivekit server`: a server for development, and what goes on in it."""
