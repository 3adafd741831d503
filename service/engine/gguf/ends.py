"""Which tokens end a text of the model in a GGUF file."""

from service.engine.gguf.configuration import special_token
from service.engine.gguf.header import TOKENS, GgufFile

CONTROL = 3  # in `tokenizer.ggml.token_type`
# What chat models end their turn with. Where that is not the token that ends a document, many files
# name the latter alone.
ENDS_OF_TURNS = {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>"}


def end_tokens_of(file: GgufFile) -> list[int]:
    """The token that the file says ends texts, then those that end turns: what it says so of, and
    the known ones that its chat template writes.
    """
    ends = [special_token(file, name) for name in ("eos", "eot")]
    template = file.metadata.get("tokenizer.chat_template")
    kinds = file.metadata.get("tokenizer.ggml.token_type")
    if isinstance(template, str) and isinstance(kinds, list):
        for token, (text, kind) in enumerate(zip(file.metadata[TOKENS], kinds, strict=False)):
            if kind == CONTROL and text in ENDS_OF_TURNS and text in template:
                ends.append(token)
    return list(dict.fromkeys(end for end in ends if end is not None))
