"""Settings come from the environment; what can't be is one line that names the variable."""

import os
from pathlib import Path

import pytest
from sqlalchemy import make_url

from service.errors import StartupError
from service.settings import Settings, load_settings
from service.storage.database import open_database

DEFAULTS = {
    "model": "atlas",
    "revision": None,
    "device": "auto",
    "dtype": "auto",
    "device_map": None,
    "attn_implementation": None,
    "quantization": None,
    "database_url": None,
    "database_password_file": None,
    "data_dir": Path("data"),
    "artifacts_url": None,
    "host": "127.0.0.1",
    "port": 8000,
    "admin_key": None,
    "admin_key_file": None,
    "editor": "entity",
    "preset": None,
    "statistics_text": None,
    "dynamic_multiplier": 10,
    "max_tokens_per_step": 512,
    "max_perplexity_ratio": 1.5,
    "probes": None,
    "max_probes_changed": 0,
    "max_batch": 32,
    "linger_ms": 50,
    "max_body_bytes": 1_048_576,
    "max_prompt_tokens": 4_096,
    "max_target_tokens": 64,
    "max_edits_per_request": 1_000,
    "max_new_tokens": 512,
    "max_generations": 256,
    "cache_tokens": 16_384,
    "editing_share": 0.6,
    "role": "all",
    "lease_s": 10.0,
    "snapshot_every": 50,
    "max_queue_depth": 100_000,
    "max_requests": None,
    "max_waiting": 128,
    "max_connections": 4_096,
    "client_timeout_s": 30.0,
    "shutdown_s": 6.0,
    "rate_limit": None,
    "max_concurrent_per_key": None,
    "cors_origins": None,
    "log_format": None,
    "log_level": "info",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ERRATA_")]:
        monkeypatch.delenv(name)


def refusal() -> str:
    with pytest.raises(StartupError) as caught:
        load_settings()
    return str(caught.value)


def test_the_defaults() -> None:
    assert load_settings().model_dump() == DEFAULTS


def test_a_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_PORT", "9001")
    monkeypatch.setenv("ERRATA_DATA_DIR", "/var/lib/errata")
    settings = load_settings()
    assert (settings.port, settings.data_dir) == (9001, Path("/var/lib/errata"))
    assert settings.resolved_database_url == "sqlite:////var/lib/errata/errata.db"


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_empty_variable_is_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ERRATA_{name.upper()}", "")
    assert load_settings().model_dump() == DEFAULTS


@pytest.mark.parametrize("name", ["ERRATA_PROT", "errata_prot", "ERRATA_"])
def test_an_unknown_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "9001")
    assert refusal() == f"unknown setting {name}; see `errata serve --help`"


def test_variables_of_the_client_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_URL", "http://elsewhere")
    monkeypatch.setenv("ERRATA_API_KEY", "its-key")
    assert load_settings().model_dump() == DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "65536", "Input should be less than or equal to 65535"),
        ("PORT", "-1", "Input should be greater than or equal to 0"),
        ("MAX_BATCH", "0", "Input should be greater than or equal to 1"),
        (
            "MAX_BATCH",
            "many",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            "LINGER_MS",
            "1.5",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            "EDITOR",
            "magic",
            "Input should be 'entity', 'grace', 'coachhook', 'memit', 'emmet', 'rome' or 'r-rome'",
        ),
        ("DTYPE", "int8", "Input should be 'auto', 'float32', 'bfloat16' or 'float16'"),
        ("DEVICE_MAP", "cuda:0", "Input should be 'auto', 'balanced' or 'sequential'"),
        (
            "ATTN_IMPLEMENTATION",
            "magic",
            "Input should be 'sdpa', 'eager', 'flash_attention_2', 'flash_attention_3', "
            "'flash_attention_4' or 'flex_attention'",
        ),
        ("DATABASE_URL", "mysql://a/b", "'mysql' is none of sqlite, postgresql"),
        ("QUANTIZATION", "2bit", "Input should be '8bit' or '4bit'"),
        ("RATE_LIMIT", "0", "Input should be greater than or equal to 1"),
        *(
            ("CORS_ORIGINS", given, f"'{origin}' is no origin: give scheme, host and port alone")
            for given, origin in (
                ("*", "*"),
                ("null", "null"),
                ("https://a.example, b.example", "b.example"),
                ("https://a.example/", "https://a.example/"),
            )
        ),
        ("ADMIN_KEY", "two words", "a key is one word of printable ASCII characters"),
        ("ADMIN_KEY", "schlüssel", "a key is one word of printable ASCII characters"),
        (
            "DATABASE_URL",
            "nonsense",
            "no database can be reached by it: "
            "Could not parse SQLAlchemy URL from given URL string",
        ),
        (
            "DATABASE_URL",
            "nosuch://host/name",
            "no database can be reached by it: Can't load plugin: sqlalchemy.dialects:nosuch",
        ),
    ],
)
def test_an_impossible_value_is_named(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ERRATA_{name}", value)
    assert refusal() == f"ERRATA_{name}: {reason}"


def test_all_impossible_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_PORT", "-1")
    monkeypatch.setenv("ERRATA_MAX_BATCH", "0")
    assert refusal() == (
        "ERRATA_PORT: Input should be greater than or equal to 0; "
        "ERRATA_MAX_BATCH: Input should be greater than or equal to 1"
    )


def test_the_key_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_ADMIN_KEY", "s3cret")
    assert "s3cret" not in repr(load_settings())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "{file} can't be read: No such file or directory"),
        (b"", "a key is one word of printable ASCII characters"),
        (b" \n", "a key is one word of printable ASCII characters"),
        (b"one\ntwo\n", "a key is one word of printable ASCII characters"),
        (b"\xff\xfe", "{file} holds no key"),
    ],
)
def test_a_key_file_holds_one_key(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("ERRATA_ADMIN_KEY_FILE", str(file))
    assert refusal() == f"ERRATA_ADMIN_KEY_FILE: {reason.format(file=file)}"


def test_the_key_and_its_file_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("the-key\n")
    monkeypatch.setenv("ERRATA_ADMIN_KEY_FILE", str(file))
    monkeypatch.setenv("ERRATA_ADMIN_KEY", "the-key")
    assert load_settings().admin_key_file == file
    monkeypatch.setenv("ERRATA_ADMIN_KEY", "another-key")
    assert refusal() == "ERRATA_ADMIN_KEY and ERRATA_ADMIN_KEY_FILE give different keys"


URL = "postgresql+psycopg://errata@database/errata"


def test_the_password_of_the_database_stands_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(" p@ss/wörd:%41 \n")
    monkeypatch.setenv("ERRATA_DATABASE_URL", URL)
    monkeypatch.setenv("ERRATA_DATABASE_PASSWORD_FILE", str(file))
    url = make_url(load_settings().resolved_database_url)
    assert url.password == " p@ss/wörd:%41 "
    assert str(url) == URL.replace("@", ":***@")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "{file} can't be read: No such file or directory"),
        (b"\nsecret", "{file} holds no password"),
        (b"\xff\xfe", "{file} holds no password"),
    ],
)
def test_a_password_file_holds_a_password(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("ERRATA_DATABASE_URL", URL)
    monkeypatch.setenv("ERRATA_DATABASE_PASSWORD_FILE", str(file))
    assert refusal() == f"ERRATA_DATABASE_PASSWORD_FILE: {reason.format(file=file)}"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "ERRATA_DATABASE_PASSWORD_FILE needs an ERRATA_DATABASE_URL of PostgreSQL"),
        (
            "sqlite:///a.db",
            "ERRATA_DATABASE_PASSWORD_FILE needs an ERRATA_DATABASE_URL of PostgreSQL",
        ),
        (
            URL.replace("@", ":s3cret@"),
            "ERRATA_DATABASE_URL and ERRATA_DATABASE_PASSWORD_FILE both give a password",
        ),
    ],
)
def test_a_password_file_is_for_a_url_without_a_password(
    url: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("secret")
    monkeypatch.setenv("ERRATA_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("ERRATA_DATABASE_URL", url)
    assert refusal() == reason


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_lies_in_a_file(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_DATABASE_URL", url)
    assert refusal() == (
        "ERRATA_DATABASE_URL: it names no file, and what is in memory is lost with the server"
    )


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("half@other", "an @ in a name or a password is written as %40"),
        ("half@other:third", "its port is no number"),
    ],
)
def test_a_password_with_characters_of_a_url_is_not_quoted(
    password: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql+psycopg://errata:{password}@127.0.0.1/errata"
    monkeypatch.setenv("ERRATA_DATABASE_URL", url)
    assert refusal() == f"ERRATA_DATABASE_URL: {reason}"


def test_a_device_and_a_device_map_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_DEVICE_MAP", "balanced")
    assert load_settings().device_map == "balanced"
    monkeypatch.setenv("ERRATA_DEVICE", "cuda:1")
    assert refusal() == (
        "ERRATA_DEVICE_MAP spreads the model over all GPUs, and ERRATA_DEVICE is 'cuda:1': unset "
        "one of them"
    )


def test_a_quantised_model_keeps_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_QUANTIZATION", "8bit")
    assert load_settings().quantization == "8bit"
    monkeypatch.setenv("ERRATA_EDITOR", "memit")
    assert refusal() == (
        "ERRATA_EDITOR 'memit' changes weights, which ERRATA_QUANTIZATION leaves in 8bit: only "
        "'entity' and 'grace' edit a quantised model"
    )


@pytest.mark.parametrize("folder", ["a?b", "a%20b", "a#b", "ä b"])
def test_the_database_lies_in_the_data_directory_whatever_its_name(
    folder: str, tmp_path: Path
) -> None:
    open_database(Settings(data_dir=tmp_path / folder).resolved_database_url).close()
    assert (tmp_path / folder / "errata.db").exists()


@pytest.mark.parametrize(
    ("host", "beyond"),
    [
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.7", True),
        ("errata.example", True),
    ],
)
def test_which_addresses_others_can_reach(host: str, beyond: bool) -> None:
    assert Settings(host=host).listens_beyond_loopback is beyond
