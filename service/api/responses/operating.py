"""The server itself."""

from pydantic import BaseModel, Field


class ReadyOut(BaseModel):
    ready: bool
    reasons: list[str] = Field(description="why not, if not")


class HealthOut(BaseModel):
    status: str


class AboutOut(BaseModel):
    errata: str = Field(description="this server's version")
    model: str
    fingerprint: str = Field(description="sha256 of the model's configuration, weights and dtype")
    editor: str
    max_batch: int = Field(description="edits applied together, at most")
    version: int = Field(description="the log's current version")
    chats: bool = Field(description="the model has a chat template")
    system_messages: bool = Field(description="its chat template takes a system message")
