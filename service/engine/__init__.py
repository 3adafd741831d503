"""The sole owner of the model: loading, overlays, generation, scoring."""
