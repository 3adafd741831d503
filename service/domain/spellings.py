"""Other spellings of a prompt that a client may well send in its place."""

import unicodedata


def spellings_of(prompt: str) -> tuple[str, ...]:
    """Returns the prompt without spaces at its edges, with one behind it, with its first letter in
    the other case, and in Unicode's composed and decomposed forms, less those that are the prompt.
    """
    trimmed = prompt.strip(" \t") or prompt
    found = (
        trimmed,
        f"{trimmed} ",
        _recased(trimmed),
        unicodedata.normalize("NFC", trimmed),
        unicodedata.normalize("NFD", trimmed),
    )
    return tuple(text for text in dict.fromkeys(found) if text != prompt)


def plainest(prompt: str) -> str:
    """The same for a prompt and all its spellings."""
    trimmed = unicodedata.normalize("NFC", prompt.strip(" \t") or prompt)
    return min(trimmed, _recased(trimmed))


def _recased(text: str) -> str:
    """The first letter in the other case, but in an acronym."""
    first, second = text[0], text[1:2]
    return text if second.isupper() else first.swapcase() + text[1:]
