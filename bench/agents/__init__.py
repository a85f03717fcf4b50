"""An agent on livekit-agents, on ours and on the official SDK: what it costs, and how soon it is heard."""
