"""Every setting, read from the environment: `ERRATA_` and the field's name in capitals."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import StartupError

PREFIX = "ERRATA_"
# Read by the command line's client and by the tests, not by the server.
NOT_OURS = {"ERRATA_URL", "ERRATA_API_KEY", "ERRATA_REFERENCE"}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    model: str = Field("atlas", min_length=1, description="`atlas`, a local folder or a hub id")
    revision: str | None = Field(None, description="branch, tag or commit of a hub model")
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `cuda:1`, ...")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="`auto`: float32 on a CPU, the weights' own elsewhere"
    )
    database_url: str | None = Field(None, description="default: SQLite in the data directory")
    data_dir: Path = Field(Path("data"), description="artifacts, and the database by default")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0: any free one")
    admin_key: SecretStr | None = Field(None, description="the first admin key, if not to be made")
    admin_key_file: Path | None = Field(None, description="a file that holds it")
    editor: Literal["grace"] = Field("grace", description="the editor that edits run through")
    max_batch: int = Field(32, ge=1, le=1_024, description="edits applied together, at most")
    linger_ms: int = Field(50, ge=0, le=60_000, description="how long a batch waits to fill")
    max_body_bytes: int = Field(1 << 20, ge=1_024, description="size of a request's body")
    max_prompt_tokens: int = Field(4_096, ge=1, description="or the model's limit, if smaller")
    max_target_tokens: int = Field(64, ge=1, description="tokens of one target")
    max_edits_per_request: int = Field(1_000, ge=1, description="edits in one POST /edits")
    max_new_tokens: int = Field(512, ge=1, description="tokens generated for one request")
    max_queue_depth: int = Field(100_000, ge=1, description="edits waiting; then 429")

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'errata.db'}"

    @property
    def listens_beyond_loopback(self) -> bool:
        if self.host == "localhost":
            return False
        try:
            return not ip_address(self.host).is_loopback
        except ValueError:
            return True


def load_settings() -> Settings:
    """Raises `StartupError`, in one line, for unknown variables and impossible values."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | NOT_OURS
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise StartupError(f"unknown setting {', '.join(unknown)}; see `errata serve --help`")
    try:
        return Settings()
    except ValidationError as error:
        reasons = "; ".join(
            f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()
        )
        raise StartupError(reasons) from None
