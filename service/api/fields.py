"""The types of request fields, with their bounds."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr

from service.api.dependencies import PAST_IDS
from service.domain.bounds import MAX_CHARACTERS, check_metadata, check_text
from service.operations.ask import NEW_TOKENS

# Percent-encoded, at 12 bytes each at most, these fit into what is read of a request's head.
MAX_QUERY_CHARACTERS = 4_096
MAX_HYPERPARAMETERS = 32


def _listed(one_or_more: object) -> object:
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more


# What `check_text` asks for, as the document can say it: Python's white space has some characters
# more than JSON Schema's.
NOT_BLANK = {"pattern": r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"}
Text = Annotated[
    StrictStr,
    Field(max_length=MAX_CHARACTERS, json_schema_extra=NOT_BLANK),
    AfterValidator(check_text),
]
Metadata = Annotated[dict[str, Any], BeforeValidator(check_metadata)]
Hyperparameters = Annotated[
    dict[str, Any], BeforeValidator(check_metadata), Field(max_length=MAX_HYPERPARAMETERS)
]
FORMAT = "`chat` puts it through the model's chat template, as a user's message"
WholeNumber = Annotated[int, Field(strict=True)]
NEW_TOKENS_DEFAULT = f"default: {NEW_TOKENS}, or the server's bound if that is lower"
NewTokens = Annotated[WholeNumber | None, Field(ge=1, description=NEW_TOKENS_DEFAULT)]
STREAM = "send the text as it comes, as events"
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256
MAX_COUNT = 4
MAX_LOGPROBS = 20


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Temperature = Annotated[Number, Field(ge=0, le=2, description="0: always the likeliest token")]
TopP = Annotated[
    Number, Field(gt=0, le=1, description="of the likeliest tokens that have this share together")
]
TopK = Annotated[
    WholeNumber, Field(ge=0, lt=PAST_IDS, description="of so many likeliest tokens; 0: of all")
]
RepetitionPenalty = Annotated[
    Number, Field(ge=0.1, le=10, description="makes tokens that the text holds less likely")
]
Seed = Annotated[
    WholeNumber,
    Field(
        gt=-PAST_IDS,
        lt=PAST_IDS,
        description="the same seed and version give the same text; default: any",
    ),
]
Logprobs = Annotated[
    WholeNumber,
    Field(
        ge=0, le=MAX_LOGPROBS, description="gives tokens' logprobs, and those of so many likeliest"
    ),
]
Count = Annotated[WholeNumber, Field(ge=1, le=MAX_COUNT, description="how many texts")]
StopString = Annotated[StrictStr, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]
# The bound of the list stands inside, since one string is no list.
Stops = Annotated[list[StopString], Field(max_length=MAX_STOPS)]
StopList = Annotated[
    Stops,
    BeforeValidator(_listed, json_schema_input_type=StopString | Stops),
    Field(description="the text ends before the first of these"),
]
EXPLAIN = "adds which edits fired at which token, and how near"
Explain = Annotated[StrictBool, Field(description=EXPLAIN)]
VersionField = Annotated[WholeNumber, Field(ge=0, lt=PAST_IDS)]
Reason = Annotated[
    StrictStr, Field(max_length=1_000, json_schema_extra=NOT_BLANK), AfterValidator(check_text)
]
