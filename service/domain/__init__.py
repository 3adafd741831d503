"""Edits, batches, versions and their states. Knows no torch and no SQL."""
