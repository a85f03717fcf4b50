"""`aiolivekit demo`: two participants exchange text, a tone and a moving picture, and check what arrives."""
