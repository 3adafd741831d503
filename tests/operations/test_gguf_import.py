"""A GGUF file becomes the model that it was made of, or is refused by one line."""

import errno
import os
import struct
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, quants
from safetensors import SafetensorError
from transformers import LlamaConfig, PreTrainedTokenizerFast
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from service.editing.architectures import ARCHITECTURES
from service.engine.gguf.header import MODEL_TYPES
from service.engine.loading import LoadedModel, load_model
from service.errors import StartupError
from service.operations.gguf_import import import_gguf
from tests.gguf_files import TEMPLATE, Content, content
from tests.tiny import VOCABULARY


@pytest.fixture(scope="module")
def llama() -> Content:
    return content("llama")


def imported(file: Path) -> LoadedModel:
    folder = file.with_suffix("")
    import_gguf(file, folder, lambda *_: None)
    return load_model(str(folder), None, "cpu", "float32")


def refusal(file: Path) -> str:
    """Returns why a file is refused; nothing is left behind."""
    before = sorted(file.parent.iterdir())
    with pytest.raises(StartupError) as caught:
        import_gguf(file, file.parent / "model", lambda *_: None)
    assert sorted(file.parent.iterdir()) == before
    return str(caught.value)


@pytest.mark.parametrize("architecture", MODEL_TYPES)
def test_the_weights_and_the_configuration_are_kept(architecture: str, tmp_path: Path) -> None:
    assert MODEL_TYPES[architecture] in ARCHITECTURES
    made = content(architecture)
    found = imported(made.write(tmp_path / "m.gguf")).model
    weights = found.state_dict()
    for name, weight in made.model.state_dict().items():
        # Gemma's norms go through a sum with 1.
        assert torch.allclose(weights[name], weight, rtol=0, atol=1e-6), name
    tokens = torch.randint(VOCABULARY, (2, 40), generator=torch.Generator().manual_seed(0))
    wanted = made.model(tokens).logits
    assert float(wanted.std()) > 0.1
    assert torch.allclose(found(tokens).logits, wanted, atol=1e-4)
    assert not hasattr(found.config, "quantization_config")


def test_quantised_weights_become_numbers(llama: Content, tmp_path: Path) -> None:
    wanted = llama.tensors["blk.0.ffn_down.weight"]
    blocks = quants.quantize(wanted, GGMLQuantizationType.Q8_0)
    file = llama.weighing(blk__0__ffn_down__weight=blocks).write(tmp_path / "m.gguf")
    found = imported(file).model.get_parameter("model.layers.0.mlp.down_proj.weight")
    error = float((found - torch.from_numpy(wanted)).abs().max())
    assert 0 < error < 0.01 * float(np.abs(wanted).max())


def test_a_head_that_is_the_embeddings(llama: Content, tmp_path: Path) -> None:
    model = imported(llama.weighing(output__weight=None).write(tmp_path / "m.gguf")).model
    assert model.config.tie_word_embeddings
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def _divisors(size: int, parameters: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Returns what transformers' own scaling divides the frequencies by."""
    config = LlamaConfig(head_dim=size, rope_parameters=parameters)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = parameters["rope_theta"] ** -(torch.arange(0, size, 2) / size)
    return np.asarray(plain / scaled, np.float32)


def test_the_scaling_of_positions(llama: Content, tmp_path: Path) -> None:
    llama3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0}
    llama3 |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    llama3["original_max_position_embeddings"] = 8192
    factors = _divisors(8, llama3)
    assert factors[0] == 1
    assert factors[-1] == 32
    scaled = llama.weighing(rope_freqs__weight=factors)
    file = scaled.write(tmp_path / "a.gguf", llama__rope__freq_base=5e5)
    assert imported(file).model.config.rope_parameters == llama3
    foreign = llama.weighing(rope_freqs__weight=np.linspace(1, 8, 4, dtype=np.float32))
    assert "not that of Llama 3's scaling" in refusal(foreign.write(tmp_path / "b.gguf"))

    gemma = content("gemma3")
    linear = {"gemma3__rope__scaling__type": "linear", "gemma3__rope__scaling__factor": 8.0}
    config = imported(gemma.write(tmp_path / "c.gguf", **linear)).model.config
    assert config.rope_parameters == {
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    yarn = llama.write(tmp_path / "d.gguf", llama__rope__scaling__type="yarn")
    assert refusal(yarn) == "its positions are scaled by 'yarn'; known: linear, llama3"


def test_what_ends_a_text(llama: Content, tmp_path: Path) -> None:
    """The template's end of a turn, beside the end of a document that the file names."""
    found = imported(llama.write(tmp_path / "a.gguf"))
    assert found.tokenizer.chat_template == TEMPLATE
    assert found.model.generation_config.eos_token_id == [0, 2]
    assert found.model.generation_config.bos_token_id == 0
    assert found.model.generation_config.pad_token_id == 0
    assert found.tokenizer.eos_token == "<|endoftext|>"
    assert found.max_tokens == found.tokenizer.model_max_length == 64

    bare = llama.write(
        tmp_path / "b.gguf", tokenizer__chat_template=None, tokenizer__ggml__eot_token_id=1
    )
    found = imported(bare)
    assert not found.chats
    assert found.model.generation_config.eos_token_id == [0, 1]


@pytest.mark.parametrize(
    ("pre", "tokens"),
    [
        ("gpt-2", ["Ċ", "Ċ", "12", "Ġ", "Ġthe"]),
        ("smollm", ["ĊĊ", "1", "2", "Ġ", "Ġthe"]),
        ("llama-bpe", ["<|endoftext|>", "ĊĊ", "12", "Ġ", "Ġthe"]),
    ],
)
def test_text_is_split_as_the_file_says(
    pre: str, tokens: list[str], llama: Content, tmp_path: Path
) -> None:
    tokenizer = imported(llama.write(tmp_path / "m.gguf", tokenizer__ggml__pre=pre)).tokenizer
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    assert tokenizer.convert_ids_to_tokens(tokenizer("\n\n12  the")["input_ids"]) == tokens
    assert (
        tokenizer.convert_ids_to_tokens(tokenizer("a<|im_end|>")["input_ids"])[-1] == "<|im_end|>"
    )


def test_a_word_that_is_a_token_is_taken_whole(llama: Content, tmp_path: Path) -> None:
    """As Llama 3's tokenizer does, though no merge leads to it."""
    merges = {"tokenizer__ggml__merges": ["t h"], "tokenizer__ggml__pre": "llama-bpe"}
    merges["tokenizer__ggml__add_bos_token"] = False  # type: ignore[assignment]
    tokenizer = imported(llama.write(tmp_path / "m.gguf", **merges)).tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer("the")["input_ids"]) == ["the"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"llama__logit_scale": 0.5}, "has llama.logit_scale, which can't be kept"),
        ({"llama__expert_count": 8}, "llama.expert_count is 8, and 0 is needed"),
        ({"llama__rope__dimension_count": 4}, "llama.rope.dimension_count is 4, and 8 is needed"),
        ({"llama__vocab_size": 95}, "llama.vocab_size is 95, and 96 is needed"),
        ({"llama__block_count": 1 << 31}, "llama.block_count is 2147483648, and 4 is needed"),
        ({"llama__embedding_length": 64}, "embedding_length is 64, and 32 is needed"),
        ({"llama__feed_forward_length": 1 << 31}, "its weights are 43,296 numbers, and a model"),
        ({"llama__attention__head_count": 0}, "head_count is 0, and a positive integer is needed"),
        ({"llama__attention__head_count": None}, "attention.head_count is missing"),
        ({"llama__attention__head_count": [4, 4]}, "and a positive integer is needed"),
        ({"llama__context_length": "64"}, "context_length is 64, and a positive integer"),
        ({"llama__rope__freq_base": float("nan")}, "freq_base is nan, and a positive number"),
        ({"llama__attention__head_count_kv": 3}, "its weights are"),
        ({"tokenizer__ggml__pre": "own"}, "splits text by 'own' (tokenizer.ggml.pre); known: "),
        ({"tokenizer__ggml__pre": None}, "splits text by 'None'"),
        ({"tokenizer__ggml__model": "t5"}, "is of the kind 't5' (tokenizer.ggml.model); known: "),
        ({"tokenizer__ggml__tokens": None}, "has no tokenizer.ggml.tokens"),
        ({"tokenizer__ggml__tokens": ["a"] * 97}, "is of shape [96, 32], and it has 97 tokens"),
        ({"tokenizer__ggml__eos_token_id": 96}, "eos_token_id is 96, which is no token"),
        ({"tokenizer__ggml__merges": ["th"]}, "its tokenizer can't be read"),
        ({"tokenizer__ggml__merges": None}, "its tokenizer can't be read"),
    ],
)
def test_metadata_that_can_not_be_kept(
    changes: dict[str, Any], reason: str, llama: Content, tmp_path: Path
) -> None:
    assert reason in refusal(llama.write(tmp_path / "m.gguf", **changes))


def test_weights_that_do_not_fit_the_metadata(llama: Content, tmp_path: Path) -> None:
    bias = llama.weighing(blk__0__attn_q__bias=np.zeros(32, np.float32))
    assert "its weights are 43,328 numbers, and a model" in refusal(bias.write(tmp_path / "a"))
    lacking = llama.weighing(blk__3__ffn_norm__weight=None)
    assert "its weights are 43,264 numbers, and a model" in refusal(lacking.write(tmp_path / "b"))
    # As many numbers, elsewhere.
    swapped = llama.weighing(
        blk__0__attn_norm__weight=None, blk__0__other__weight=np.ones(32, np.float32)
    )
    assert "its weights lack model.layers.0.input_layernorm" in refusal(
        swapped.write(tmp_path / "c")
    )
    turned = llama.weighing(blk__0__ffn_down__weight=np.zeros((64, 32), np.float32))
    assert "is of shape [64, 32], and config.json asks for [32, 64]" in refusal(
        turned.write(tmp_path / "d")
    )


def test_an_architecture_that_is_not_known(llama: Content, tmp_path: Path) -> None:
    llama_of = Content("falcon", llama.model, llama.metadata, llama.tensors)
    file = llama_of.write(tmp_path / "m.gguf")
    known = "gemma2, gemma3, gpt2, llama, phi3, qwen2, qwen3"
    assert refusal(file) == f"{file} is of architecture 'falcon'; known: {known}"


def test_a_file_cut_off_anywhere(llama: Content, tmp_path: Path) -> None:
    whole = llama.write(tmp_path / "whole.gguf").read_bytes()
    header = len(whole) - 4 * sum(tensor.size for tensor in llama.tensors.values())
    file = tmp_path / "m.gguf"
    for length in [0, 3, *range(4, header, 97), *range(header, len(whole), 20_011), len(whole) - 1]:
        file.write_bytes(whole[:length])
        start = f"{file} is " + ("no GGUF file" if length < 4 else "broken or cut off")
        assert refusal(file).startswith(start), length


def test_absurd_counts(llama: Content, tmp_path: Path) -> None:
    """Each would need more than all memory, were it believed."""
    whole = llama.write(tmp_path / "whole.gguf").read_bytes()
    file = tmp_path / "m.gguf"
    tokens = whole.index(b"tokenizer.ggml.tokens") + len(b"tokenizer.ggml.tokens") + 8
    kinds = whole.index(b"tokenizer.ggml.token_type") + len(b"tokenizer.ggml.token_type") + 8
    places = {"tensors": 8, "entries": 16, "key's length": 24, "tokens": tokens, "kinds": kinds}
    for place, at in places.items():
        for count in (1 << 40, (1 << 64) - 1):
            file.write_bytes(whole[:at] + struct.pack("<Q", count) + whole[at + 8 :])
            assert refusal(file).startswith(f"{file} is broken or cut off"), place
    dimensions = whole.index(b"token_embd.weight") + len(b"token_embd.weight")
    for count in (9, (1 << 32) - 1):
        changed = whole[:dimensions] + struct.pack("<I", count) + whole[dimensions + 4 :]
        file.write_bytes(changed)
        assert refusal(file).startswith(f"{file} is broken or cut off")
    file.write_bytes(
        whole[: dimensions + 4] + struct.pack("<Q", 1 << 62) + whole[dimensions + 12 :]
    )
    assert refusal(file).startswith(f"{file} is broken or cut off")


def test_what_is_no_gguf_file(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"PK\3\4" + bytes(100))
    assert refusal(file) == f"{file} is no GGUF file: it begins with b'PK\\x03\\x04', not b'GGUF'"
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'} is no file"
    assert refusal(tmp_path) == f"{tmp_path} is no file"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(pipe) == f"{pipe} is no file"


def test_a_target_in_use(llama: Content, tmp_path: Path) -> None:
    file = llama.write(tmp_path / "m.gguf")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    reasons = {
        "full": "is not empty",
        "m.gguf": "is no folder",
        "link": "is a symbolic link: name the folder itself",
        "broken": "is a symbolic link: name the folder itself",
    }
    for name, reason in reasons.items():
        with pytest.raises(StartupError) as caught:
            import_gguf(file, tmp_path / name, lambda *_: None)
        assert str(caught.value) == f"{tmp_path / name} {reason}"
    assert not any((tmp_path / "empty").iterdir())
    import_gguf(file, tmp_path / "empty", lambda *_: None)
    assert (tmp_path / "empty" / "model.safetensors").is_file()
    assert not (tmp_path / "nowhere").exists()


def test_no_room(llama: Content, tmp_path: Path) -> None:
    file = llama.write(tmp_path / "m.gguf")
    with patch("shutil.disk_usage") as usage:
        usage.return_value.free = 1000
        assert refusal(file) == (
            f"its weights take 0.0 GiB in float32, and the disk of {tmp_path} has 0.0 GiB free"
        )
    with patch("psutil.virtual_memory") as memory:
        memory.return_value.available = 1000
        assert "and memory has 0.0 GiB free" in refusal(file)
    # The room goes while the folder is written.
    for failure in (SafetensorError("No space left"), OSError(errno.ENOSPC, "No space left")):
        with (
            patch("transformers.PreTrainedModel.save_pretrained", side_effect=failure),
            pytest.raises((StartupError, OSError), match="No space left"),
        ):
            import_gguf(file, tmp_path / "model", lambda *_: None)
        assert list(tmp_path.iterdir()) == [file]


def test_what_lies_beside_the_file_is_not_read(llama: Content, tmp_path: Path) -> None:
    for name in ("adapter_config.json", "config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{")
    assert imported(llama.write(tmp_path / "m.gguf")).chats
