"""`GET /metrics`. Names are vLLM's where it has one, with another prefix."""
