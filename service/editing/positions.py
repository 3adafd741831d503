"""Where in a prompt its subject stands, in tokens."""

from transformers import PreTrainedTokenizerBase


def subject_last(tokenizer: PreTrainedTokenizerBase, text: str, subject: str) -> int:
    """The index of the last token of the first occurrence of `subject` in `text`.

    Raises `ValueError` if it does not occur.
    """
    start = text.index(subject)
    end = start + len(subject)
    offsets = tokenizer(text, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    # Tokens that the tokenizer adds (a BOS) cover no characters. Bytes of one character each
    # cover it whole: the last of them counts.
    return max(i for i, (first, last) in enumerate(offsets) if first < end and last > start)
