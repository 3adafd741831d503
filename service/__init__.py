"""Errata: an editing server for language models."""

__version__ = "0.1.0"
