"""The tokenizer in a GGUF file."""

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.integrations.gguf.gguf_tokenizer_mapping import (
    GGUF_PRE_TOKENIZER_SPLITS,
    convert_gguf_tokenizer,
    get_gguf_tokenizer,
)

from service.engine.checkpoint import first_line
from service.engine.gguf.header import GgufFile
from service.errors import StartupError

BYTE_LEVEL, SENTENCEPIECE = "gpt2", "llama"  # `tokenizer.ggml.model`
# `tokenizer.ggml.pre`, how text is split before merges, beside those of GGUF_PRE_TOKENIZER_SPLITS.
# As llama.cpp groups them; transformers splits all of these as GPT-2 does.
GPT2_SPLITS = {"gpt-2", "jais", "mpt", "olmo", "phi-2"}
DIGITS_APART = {"codeshell", "command-r", "minerva-7b", "refact", "smollm", "starcoder"}
# These take a word that is a token whole, whatever their merges say, and begin each text with BOS
# where the file does not say otherwise.
LLAMA3 = {"llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "midm-2.0", "tekken"}
# Which sentencepiece vocabularies are without the space before a text, or with it, in any case.
OWN_SPACE = {"gemma2", "gemma3", "phi3"}


def tokenizer_of(file: GgufFile, positions: int) -> PreTrainedTokenizerBase:
    """Raises `StartupError` for a tokenizer whose way to split text is not known."""
    kind, pre = (file.metadata.get(f"tokenizer.ggml.{name}") for name in ("model", "pre"))
    _check(file, kind, pre)
    try:
        _, words, settings = get_gguf_tokenizer(str(file.path))
        backend, _ = convert_gguf_tokenizer(file.architecture, words)
    except Exception as error:  # the libraries raise whatever their parts do
        raise StartupError(f"its tokenizer can't be read: {first_line(error)}") from error
    if kind == BYTE_LEVEL and pre in DIGITS_APART:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    if kind == BYTE_LEVEL and pre in LLAMA3:
        settings.setdefault("add_bos_token", True)
        _ignore_merges(backend)
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=positions, **settings)


def _check(file: GgufFile, kind: object, pre: object) -> None:
    known = GPT2_SPLITS | DIGITS_APART | GGUF_PRE_TOKENIZER_SPLITS.keys()
    if kind == BYTE_LEVEL and pre not in known:
        raise StartupError(
            f"its tokenizer splits text by {str(pre)[:64]!r} (tokenizer.ggml.pre); known: "
            f"{', '.join(sorted(known))}"
        )
    if kind not in (BYTE_LEVEL, SENTENCEPIECE):
        raise StartupError(
            f"its tokenizer is of the kind {str(kind)[:64]!r} (tokenizer.ggml.model); known: "
            f"{BYTE_LEVEL}, {SENTENCEPIECE}"
        )
    space = file.metadata.get("tokenizer.ggml.add_space_prefix", True)
    if kind == SENTENCEPIECE and file.architecture not in OWN_SPACE and space is not True:
        raise StartupError(
            "its tokenizer adds no space before a text (tokenizer.ggml.add_space_prefix), which "
            "can't be kept yet"
        )


def _ignore_merges(backend: Tokenizer) -> None:
    model = backend.model
    if isinstance(model, BPE):
        model.ignore_merges = True
