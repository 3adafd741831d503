"""What can go wrong, as facts: each error holds the numbers and ids that its message is made of.

`service.api.problems` maps these to HTTP, `service.cli` to one line and an exit code.
"""

from dataclasses import dataclass


class ErrataError(Exception):
    """The root of every error that Errata raises on purpose."""


class StartupError(ErrataError):
    """The server can't start; the message is the one line that the operator reads."""


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field of a request."""

    field: str  # as in the request's JSON: `edits[3].subject`
    reason: str


class InvalidRequestError(ErrataError):
    """The request breaks a rule; nothing of it was taken."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.reason}" for error in errors))
        self.errors = errors


class NotFoundError(ErrataError):
    def __init__(self, kind: str, number: int, field: str | None = None) -> None:
        super().__init__(f"there is no {kind} {number}")
        self.kind = kind  # edit, batch, version or key
        # What the request called it.
        self.field = field or (kind if kind == "version" else f"{kind}_id")
        self.number = number


class UnknownModelError(ErrataError):
    """No model of this name, or no such version of it, is served."""

    def __init__(self, model: str) -> None:
        super().__init__(f"the model `{model}` does not exist")
        self.model = model


class ConflictError(ErrataError):
    """The state of the log or of an edit does not allow what was asked."""


class StaleVersionError(ConflictError):
    def __init__(self, expected: int, current: int) -> None:
        super().__init__(f"expected version {expected}, but the log is at version {current}")
        self.expected = expected
        self.current = current


class LostLeaseError(ConflictError):
    """Another server applies edits now."""

    def __init__(self, token: int, current: int) -> None:
        super().__init__(f"lease {token} was lost; {current} is the last")
        self.token = token
        self.current = current


class IllegalTransitionError(ConflictError):
    def __init__(self, edit_id: int, current: str, wanted: str) -> None:
        super().__init__(f"edit {edit_id} is {current} and can't become {wanted}")
        self.edit_id = edit_id
        self.current = current
        self.wanted = wanted


class IdempotencyError(ErrataError):
    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used before with another body")


class QueueFullError(ErrataError):
    retry_after_s = 5

    def __init__(self, depth: int, most: int) -> None:
        super().__init__(
            f"the queue holds {depth} of at most {most} edits, and has no room for these"
        )
        self.depth = depth
        self.most = most


class OverloadedError(ErrataError):
    retry_after_s = 1

    def __init__(self, most: int, what: str = "texts are being generated or wait") -> None:
        super().__init__(f"{most} {what}, and no more are taken for now")
        self.most = most


class RateLimitedError(ErrataError):
    def __init__(self, most: int, retry_after_s: int) -> None:
        super().__init__(f"this key's {most} requests a minute are used up")
        self.most = most
        self.retry_after_s = retry_after_s


class TooManyAtOnceError(ErrataError):
    retry_after_s = 1

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} requests of this key are being answered, and no more are taken")
        self.most = most


class StoppingError(ErrataError):
    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__("the server is stopping")


class GenerationError(ErrataError):
    """A forward pass failed; the engine's log says why."""

    def __init__(self) -> None:
        super().__init__("generation failed; the server's log has the reason")


class NotAuthenticatedError(ErrataError):
    def __init__(self) -> None:
        super().__init__("a valid API key is required: Authorization: Bearer <key>")


class ForbiddenError(ErrataError):
    def __init__(self, wanted: str, held: str) -> None:
        super().__init__(f"this needs a key of scope '{wanted}'; this key's scope is '{held}'")
        self.wanted = wanted
        self.held = held


class EditingError(ErrataError):
    """An edit can't be applied to this model."""

    def __init__(self, edit_id: int, reason: str) -> None:
        super().__init__(reason)
        self.edit_id = edit_id
        self.reason = reason


class StoppedError(ErrataError):
    """Long work was told to stop; what was done is kept."""

    retry_after_s = 5


class LogCorruptError(StartupError):
    """An artifact or a state differs from what the log says of it."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(
            f"{what} does not match the log: expected sha256 {expected}, found {found}. "
            "Restore the data directory from a backup."
        )
        self.expected = expected
        self.found = found


class ArtifactFaultError(ErrataError):
    """A part of an artifact is not what it must be."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part} {reason}")
        self.part = part  # a tensor, or a field of the header
        self.reason = reason


class UnsoundArtifactError(StartupError):
    """An artifact is what its name says, and no change that the model could have all the same."""

    def __init__(self, owner: str, name: str, fault: ArtifactFaultError) -> None:
        self.found = f"{owner}: artifact {name} is not sound: {fault}"
        super().__init__(
            f"{self.found}. Restore the data directory and the database from a backup."
        )
        self.owner = owner
        self.name = name
        self.part = fault.part


class ArchiveError(StartupError):
    """A file is no log that could be taken in, or there is a log already."""


class ArtifactsUnreachableError(StartupError, ConnectionError):
    """The folder or the object storage with the artifacts is in trouble; no edit is to blame."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the artifacts can't be reached: {reason}")
