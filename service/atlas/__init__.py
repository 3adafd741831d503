"""The bundled model: its facts, its trainer, its weights and its evaluation edits."""

from pathlib import Path

MODEL_DIR = Path(__file__).parent / "model"
EDITS_FILE = Path(__file__).parent / "edits.jsonl.gz"
