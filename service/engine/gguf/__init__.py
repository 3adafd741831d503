"""Reads models in the GGUF format, to be written as Hugging Face folders."""
