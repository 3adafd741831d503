"""How many texts go through one forward pass."""

from collections.abc import Iterator, Sequence

TOKENS_PER_PASS = 8_192  # padding included; bounds the memory of one pass


def parts(lengths: Sequence[int]) -> Iterator[slice]:
    """Cuts texts of these lengths, in order, into batches of at most `TOKENS_PER_PASS`."""
    start, width = 0, 0
    for i, length in enumerate(lengths):
        width = max(width, length)
        if i > start and width * (i - start + 1) > TOKENS_PER_PASS:
            yield slice(start, i)
            start, width = i, length
    if lengths:
        yield slice(start, len(lengths))
