"""Servers that are killed in the middle, restarted and checked."""
