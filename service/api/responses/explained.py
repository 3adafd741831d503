"""What an overlay did at a text's tokens, as it goes out by the wire."""

from collections.abc import Callable

from pydantic import BaseModel, Field

from service.engine.explaining import Record


class FiringOut(BaseModel):
    token: int = Field(description="which token of prompt and continuation, from 0")
    text: str
    layer: int
    fired: bool = Field(
        description="false: the codebook entry nearest to the prompt's last token is too far"
    )
    edits: list[int] = Field(
        description="whose codebook entry it is; of hook layers, which add up all edits, whose "
        "part in the change is the largest; none where an older version's artifact does not say"
    )
    distance: float | None = Field(None, description="of a codebook: to the nearest entry's key")
    radius: float | None = Field(None, description="of a codebook: the entry's deferral radius")
    subject: str | None = Field(None, description="of `entity`: what the text had to name")
    z_score: float | None = Field(None, description="of gated hook layers")
    alpha: float | None = Field(None, description="of gated hook layers: the least z-score to fire")

    @classmethod
    def of(cls, record: Record | None, text_of: Callable[[int], str]) -> "list[FiringOut] | None":
        """None where nothing was to be explained."""
        if record is None:
            return None
        return [
            cls(
                token=firing.index,
                text=text_of(firing.token),
                layer=firing.layer,
                fired=firing.fired,
                edits=list(firing.edits),
                distance=firing.distance,
                radius=firing.radius,
                subject=firing.subject,
                z_score=firing.z_score,
                alpha=firing.alpha,
            )
            for firing in record.firings
        ]
