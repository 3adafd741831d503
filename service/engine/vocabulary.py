"""A model's tokenizer, held to the tokens that the model has embeddings for."""

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from service.engine.checkpoint import first_line


def tokenizer_in(folder: Path) -> PreTrainedTokenizerBase:
    """Raises `ValueError` if there is none."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # the library behind it raises bare ones for broken files
        raise ValueError(f"its tokenizer can't be read: {first_line(error)}") from error
    if not tokenizer.vocab_size:  # transformers makes one of nothing
        raise ValueError("it has no tokenizer (tokenizer.json)")
    return tokenizer


def fit(tokenizer: PreTrainedTokenizerBase, embeddings: int) -> None:
    """Raises `ValueError` for a vocabulary that is larger than the `embeddings`. Tokens that were
    added to it without one are forgotten, as Gemma 3 1B's for images: a prompt that spells one
    would have nothing to be embedded by.
    """
    if tokenizer.vocab_size > embeddings:
        raise ValueError(
            f"its tokenizer has {tokenizer.vocab_size} tokens, and the model embeddings for "
            f"{embeddings}: the two do not belong together"
        )
    if len(tokenizer) > embeddings:
        backend = json.loads(tokenizer._tokenizer.to_str())
        backend["added_tokens"] = [t for t in backend["added_tokens"] if t["id"] < embeddings]
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps(backend))
