"""What a change of history would do."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.operations.comparing import MOST_COMPARED
from service.operations.preview import Preview


class MembersOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    batch_ids: list[int]
    edit_ids: list[int]


class ComparisonOut(BaseModel):
    """What an edit's prompt is answered with, greedily, in a few tokens."""

    model_config = ConfigDict(from_attributes=True)

    edit_id: int
    prompt: str
    now: str
    after: str
    differs: bool


class PreviewOut(BaseModel):
    """What a change would do. Nothing was changed."""

    dry_run: Literal[True] = True
    changes: bool = Field(description="false: history is so already")
    version: int = Field(
        description="the number that the change would get, or of the version that made it before"
    )
    checksum: str = Field(description="of that version")
    rolled_back: MembersOut
    restored: MembersOut
    comparisons: list[ComparisonOut] = Field(
        description=f"of the first {MOST_COMPARED} edits whose state would change"
    )

    @classmethod
    def of(cls, preview: Preview) -> "PreviewOut":
        return cls(
            changes=preview.changes,
            version=preview.version,
            checksum=preview.checksum,
            rolled_back=MembersOut.model_validate(preview.effect.rolled_back),
            restored=MembersOut.model_validate(preview.effect.restored),
            comparisons=[ComparisonOut.model_validate(one) for one in preview.comparisons],
        )
