"""The media matrix: every behaviour of media between every two clients, on both servers, in both modes."""
