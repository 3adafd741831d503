"""The thread that applies what is queued."""
