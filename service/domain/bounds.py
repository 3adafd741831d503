"""What a correction may hold, wherever it is judged: in a request or in a file of edits."""

import json

# Far above any prompt of `max_prompt_tokens`; keeps the tokenizer from chewing on a whole body.
MAX_CHARACTERS = 65_536
MAX_PARAPHRASES = 32
MAX_NEIGHBORHOOD = 64
MAX_METADATA_BYTES = 16_384
MAX_METADATA_DEPTH = 32
MAX_TARGETS = 64  # of one question to /score


def check_text(text: str) -> str:
    """Raises `ValueError` for a text that says nothing, or that no database takes."""
    if not text.strip():
        raise ValueError("must hold more than white space")
    return check_characters(text)


def check_characters(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold NUL characters")
    return text


def check_metadata(metadata: object) -> object:
    """Raises `ValueError` for what is too large, too deep, or no JSON that every database takes."""
    if _is_deeper(metadata, MAX_METADATA_DEPTH):
        raise ValueError(f"is nested more than {MAX_METADATA_DEPTH} levels deep")
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("must not hold lone surrogates") from None
    except ValueError:
        raise ValueError("must hold no NaN and no infinity") from None
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"has {size} bytes as JSON, at most {MAX_METADATA_BYTES} are taken")
    # Without its escaped backslashes, so that a text which only spells the escape passes.
    if r"\u0000" in text.replace(r"\\", ""):
        raise ValueError("must not hold NUL characters")
    return metadata


def _is_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested in each other more than `levels` deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
