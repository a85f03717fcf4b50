"""`aiolivekit doctor`: why a server cannot be joined, or cannot be heard, step by step."""
