"""Text to token ids, the same for editing, scoring and serving: a key must be what serving sees."""

from transformers import PreTrainedTokenizerBase


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """The prompt's tokens, with those that the model's tokenizer puts before every text."""
    return list(tokenizer(prompt, verbose=False)["input_ids"])


def target_ids(tokenizer: PreTrainedTokenizerBase, prompt: str, target: str) -> list[int]:
    """The tokens of `target` as a continuation of `prompt`: a space goes between the two unless one
    of them brings it.
    """
    joint = "" if prompt[-1:].isspace() or target[:1].isspace() else " "
    tokens = tokenizer(joint + target, add_special_tokens=False, verbose=False)
    return list(tokens["input_ids"])
