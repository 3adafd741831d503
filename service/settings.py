"""Every setting, read from the environment: `ERRATA_` and the field's name in capitals."""

import os
import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.errors import StartupError
from service.secret_files import check_key, read_key, read_password

PREFIX = "ERRATA_"
# Read by the command line's client and by the tests, not by the server.
NOT_OURS = {"ERRATA_URL", "ERRATA_API_KEY", "ERRATA_REFERENCE"}

# As browsers send it: in small letters, without a path.
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
DATABASE = "errata.db"  # in the data directory, by default
DATABASES = ("sqlite", "postgresql")
LEAST_REQUESTS = 64  # at once, unless a number is set

EditorName = Literal["entity", "grace", "coachhook", "memit", "emmet", "rome", "r-rome"]

# Those of transformers.
AttentionName = Literal[
    "sdpa",
    "eager",
    "flash_attention_2",
    "flash_attention_3",
    "flash_attention_4",
    "flex_attention",
]


class Role(StrEnum):
    """What one of several servers on a database does."""

    ALL = "all"
    API = "api"  # takes edits and generates
    EDITOR = "editor"  # applies edits


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    model: str = Field("atlas", min_length=1, description="`atlas`, a local folder or a hub id")
    revision: str | None = Field(None, description="branch, tag or commit of a hub model")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `cuda:1`, ...")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="`float32`, `bfloat16`, `float16`; `auto`: float32 on a CPU, the weights' own "
        "elsewhere",
    )
    device_map: Literal["auto", "balanced", "sequential"] | None = Field(
        None,
        description="spreads the model over all GPUs: `auto`, `balanced`, `sequential`; needs the "
        "extra `distributed`",
    )
    attn_implementation: AttentionName | None = Field(
        None,
        description="`sdpa`, `eager`, `flash_attention_2`, `flash_attention_3`, "
        "`flash_attention_4`, `flex_attention`; default: transformers' choice. Only `sdpa` "
        "generates with a paged cache",
    )
    quantization: Literal["8bit", "4bit"] | None = Field(
        None,
        description="weights in `8bit` or `4bit`, for the editors `entity` and `grace`; needs the "
        "extra `quantized`",
    )
    database_url: str | None = Field(
        None,
        description="`postgresql+psycopg://user:password@host/name`, or SQLite's; default: SQLite "
        "in the data directory",
    )
    database_password_file: Path | None = Field(
        None, description="a file that holds the password, for a database URL without one"
    )
    data_dir: Path = Field(Path("data"), description="artifacts, and the database by default")
    artifacts_url: str | None = Field(
        None,
        description="a folder, or object storage as `s3://bucket/prefix`, for one log's artifacts; "
        "default: `artifacts` in the data directory; S3 needs the extra `s3`",
    )
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0: any free one")
    admin_key: SecretStr | None = Field(
        None, description="the first admin key; default: one is made and printed once"
    )
    admin_key_file: Path | None = Field(None, description="a file that holds the first admin key")
    editor: EditorName = Field(
        "entity",
        description="the editor of edits that name none: `entity`, `grace`, `coachhook`, `memit`, "
        "`emmet`, `rome`, `r-rome`",
    )
    preset: Path | None = Field(
        None, description="a file of hyperparameters, as `errata calibrate` writes it"
    )
    statistics_text: Path | None = Field(
        None,
        description="a text file that hook-layer editors take statistics from; default: text of "
        "the model's own",
    )
    dynamic_multiplier: int = Field(
        10, ge=1, le=1_000, description="keys that statistics are of, per input of a layer"
    )
    max_tokens_per_step: int = Field(
        512, ge=1, description="tokens that one editing step runs; bounds its memory"
    )
    max_perplexity_ratio: float = Field(
        1.5,
        gt=1.0,
        allow_inf_nan=False,
        description="a batch that raises the perplexity of unrelated text further is not published",
    )
    probes: Path | None = Field(
        None,
        description="a file of probes, JSON lines: prompts asked of every version before it serves",
    )
    max_probes_changed: int = Field(
        0,
        ge=0,
        description="probes with an `expect` that a batch may break; edits that break more fail",
    )
    max_batch: int = Field(32, ge=1, le=1_024, description="edits applied together, at most")
    linger_ms: int = Field(
        50, ge=0, le=60_000, description="milliseconds that a batch waits to fill"
    )
    max_body_bytes: int = Field(1 << 20, ge=1_024, description="bytes of one request's body")
    max_prompt_tokens: int = Field(
        4_096, ge=1, description="tokens of one prompt; or the model's limit, if smaller"
    )
    max_target_tokens: int = Field(64, ge=1, description="tokens of one target")
    max_edits_per_request: int = Field(1_000, ge=1, description="edits in one POST /edits")
    max_new_tokens: int = Field(512, ge=1, description="tokens generated for one request")
    max_generations: int = Field(
        256, ge=1, description="texts generated at once, those that wait included; then 429"
    )
    cache_tokens: int = Field(
        16_384, ge=1, description="tokens whose keys and values generation holds at once"
    )
    editing_share: float = Field(
        0.6,
        ge=0.05,
        le=0.95,
        description="of the model's time for edits, while it generates",
    )
    role: Role = Field(
        Role.ALL,
        description="`all`; `api` takes edits and generates, but applies none; `editor` only "
        "applies them",
    )
    lease_s: float = Field(
        10.0,
        ge=1.0,
        le=3_600.0,
        description="seconds without a sign of life after which another server applies edits",
    )
    snapshot_every: int = Field(
        50, ge=1, description="versions between two snapshots, which make starts fast"
    )
    max_queue_depth: int = Field(100_000, ge=1, description="edits that wait; then 429")
    max_requests: int | None = Field(
        None,
        ge=1,
        description="requests answered at once, those that wait included; then 503; default: twice "
        "the generations, 64 at least",
    )
    max_waiting: int = Field(
        128, ge=1, description="clients that follow events or wait for an edit; then 429"
    )
    max_connections: int = Field(4_096, ge=1, description="connections at once; then 503")
    client_timeout_s: float = Field(
        30.0,
        ge=0.1,
        le=3_600.0,
        description="seconds in which a request must have come whole, else 408; and that a client "
        "may take nothing of its answer, before its connection is closed",
    )
    shutdown_s: float = Field(
        6.0,
        ge=0.0,
        le=3_600.0,
        description="seconds that texts and the batch at hand have to end, once the server is "
        "told to; a second signal ends them at once",
    )
    rate_limit: int | None = Field(
        None, ge=1, le=1_000_000, description="requests a minute of one key; then 429"
    )
    max_concurrent_per_key: int | None = Field(
        None, ge=1, description="requests of one key that are answered at once; then 429"
    )
    cors_origins: str | None = Field(
        None,
        description="sites whose scripts may ask from a browser, as `https://a.example`, with "
        "commas between them",
    )
    log_format: Literal["json", "console"] | None = Field(
        None, description="`json` or `console`; default: `console` on a terminal, else `json`"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="`debug`, `info`, `warning`, `error`; least that is logged"
    )

    @field_validator("database_url")
    @classmethod
    def _has_a_driver(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                parsed = _parsed(url)
                dialect = parsed.get_dialect()
                if dialect.name not in DATABASES:
                    raise ValueError(f"'{dialect.name}' is none of {', '.join(DATABASES)}")
                dialect.import_dbapi()
            except (ArgumentError, ImportError) as error:
                raise ValueError(f"no database can be reached by it: {error}") from None
            if "@" in (parsed.host or ""):  # the same would stand in every error of a connection
                raise ValueError("an @ in a name or a password is written as %40")
            if dialect.name == "sqlite" and parsed.database in (None, "", ":memory:"):
                raise ValueError("it names no file, and what is in memory is lost with the server")
        return url

    @field_validator("database_password_file")
    @classmethod
    def _holds_a_password(cls, file: Path | None) -> Path | None:
        if file is not None and not read_password(file):
            raise ValueError(f"{file} holds no password")
        return file

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: str | None) -> str | None:
        for origin in _split(origins):
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"'{origin}' is no origin: give scheme, host and port alone")
        return origins

    @field_validator("admin_key")
    @classmethod
    def _can_be_sent(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            check_key(key.get_secret_value())
        return key

    @field_validator("admin_key_file")
    @classmethod
    def _holds_a_key(cls, file: Path | None) -> Path | None:
        if file is not None:
            check_key(read_key(file))
        return file

    @model_validator(mode="after")
    def _names_one_key(self) -> "Settings":
        key, file = self.admin_key, self.admin_key_file
        if key and file and key.get_secret_value() != read_key(file):
            raise ValueError("ERRATA_ADMIN_KEY and ERRATA_ADMIN_KEY_FILE give different keys")
        return self

    @model_validator(mode="after")
    def _names_one_password(self) -> "Settings":
        if self.database_password_file is not None:
            url = make_url(self.database_url or "sqlite://")
            if url.get_backend_name() == "sqlite":
                raise ValueError(
                    "ERRATA_DATABASE_PASSWORD_FILE needs an ERRATA_DATABASE_URL of PostgreSQL"
                )
            if url.password is not None:
                raise ValueError(
                    "ERRATA_DATABASE_URL and ERRATA_DATABASE_PASSWORD_FILE both give a password"
                )
        return self

    @model_validator(mode="after")
    def _names_one_placement(self) -> "Settings":
        if self.device_map and self.device != "auto":
            raise ValueError(
                f"ERRATA_DEVICE_MAP spreads the model over all GPUs, and ERRATA_DEVICE is "
                f"'{self.device}': unset one of them"
            )
        return self

    @model_validator(mode="after")
    def _can_edit(self) -> "Settings":
        if self.quantization and self.editor not in ("entity", "grace"):
            raise ValueError(
                f"ERRATA_EDITOR '{self.editor}' changes weights, which ERRATA_QUANTIZATION leaves "
                f"in {self.quantization}: only 'entity' and 'grace' edit a quantised model"
            )
        return self

    @property
    def configured_admin_key(self) -> str | None:
        if self.admin_key_file is not None:
            return read_key(self.admin_key_file)
        return None if self.admin_key is None else self.admin_key.get_secret_value()

    @property
    def resolved_database_url(self) -> str:
        if self.database_url is not None:
            if self.database_password_file is None:
                return self.database_url
            password = read_password(self.database_password_file)
            url = make_url(self.database_url).set(password=password)
            return url.render_as_string(hide_password=False)
        # A folder's name may hold what means something in a URL.
        return URL.create("sqlite", database=str(self.data_dir / DATABASE)).render_as_string()

    @property
    def most_requests(self) -> int:
        return self.max_requests or max(LEAST_REQUESTS, 2 * self.max_generations)

    @property
    def allowed_origins(self) -> list[str]:
        return _split(self.cors_origins)

    @property
    def artifacts(self) -> Path | str:
        """Where they lie: a folder or a URL."""
        return self.artifacts_url or self.data_dir / "artifacts"

    @property
    def listens_beyond_loopback(self) -> bool:
        if self.host == "localhost":
            return False
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:
            return True


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ValueError:  # whose message quotes what may be a password's second half
        raise ValueError("its port is no number") from None


def _split(origins: str | None) -> list[str]:
    return [origin.strip() for origin in (origins or "").split(",") if origin.strip()]


def load_settings(**given: Any) -> Settings:
    """`given` goes before the environment. Raises `StartupError`, in one line, for variables that
    are unknown and values that are impossible.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | NOT_OURS
    # Settings are read in capitals and in small letters alike.
    ours = (name for name in os.environ if name.upper().startswith(PREFIX))
    unknown = sorted(name for name in ours if name.upper() not in known)
    if unknown:
        raise StartupError(f"unknown setting {', '.join(unknown)}; see `errata serve --help`")
    try:
        return Settings(**given)
    except ValidationError as error:
        raise StartupError("; ".join(_reason(fault) for fault in error.errors())) from None


def _reason(fault: Any) -> str:
    """A fault as the operator reads it: the variable and what is wrong with it."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    # What is wrong with two variables names them itself.
    return f"{PREFIX}{str(fault['loc'][0]).upper()}: {message}" if fault["loc"] else message
