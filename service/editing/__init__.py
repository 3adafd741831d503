"""The algorithms that turn corrections into overlays. Knows nothing of HTTP or the database."""
