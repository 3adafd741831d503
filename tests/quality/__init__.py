"""Figures on real models, which `make models` puts in place."""
