"""The error tree: one family for each party that must act. Must not know how an error is shown or transported.

An error's docstring is its default message. `reason` is a stable code for machines (headers, problem
types, log searches); the text is for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: problems of one document that are listed
MAX_PROBLEMS = 100


class Problem(NamedTuple):
    """One thing wrong with a document: where (JSON pointer, RFC 6901), what, and in a YAML file which line."""

    path: str
    message: str
    line: int | None = None
    column: int | None = None


class Problems:
    """Problems of one document: some that are listed, and how many more there are. Those without a place come last."""

    def __init__(self, shown: Iterable[Problem] = (), more: int = 0) -> None:
        self.shown = list(shown)
        self.more = more

    @property
    def room(self) -> int:
        """How many more can be listed."""
        return max(0, MAX_PROBLEMS - len(self.shown))

    def add(self, problems: Iterable[Problem], more: int = 0) -> None:
        """List as many as there is room for, and count the others."""
        for problem in problems:
            if self.room:
                self.shown.append(problem)
            else:
                self.more += 1
        self.more += more

    def listed(self) -> list[Problem]:
        """The listed ones, and one that counts the others."""
        counted = f"{self.more} more {'problem is' if self.more == 1 else 'problems are'} not listed"
        return [*self.shown, *([Problem("", counted)] if self.more else [])]


class ReleaseEngineError(Exception):
    """Something went wrong in the release engine."""

    #: stable, kebab-case
    reason = "error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


# -- the caller must change the request ------------------------------------------------------------


class CallerError(ReleaseEngineError):
    """The request is not valid."""

    reason = "bad-request"


class BadDocument(CallerError):
    """The document is not valid."""

    reason = "bad-document"

    def __init__(self, message: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message or (problems[0].message if problems else ""))
        self.problems = tuple(problems)


class BadMessage(BadDocument):
    """The message is not valid."""

    reason = "bad-message"

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, (Problem(path, message),))
        self.path = path


class UnknownGroup(CallerError):
    """No playbook belongs to this group."""

    reason = "unknown-group"


class UnknownPlaybook(CallerError):
    """The group has no such playbook."""

    reason = "unknown-playbook"


class NotFound(CallerError):
    """It does not exist."""

    reason = "not-found"


class BadDynamic(BadDocument):
    """The dynamic values do not fit the playbook."""

    reason = "bad-dynamic"


class Refused(CallerError):
    """A rule forbids the request."""

    reason = "refused"

    def __init__(self, message: str = "", deployment: str = "") -> None:
        super().__init__(message)
        #: id of the running deployment that blocks the request; empty: none
        self.deployment = deployment


class Conflict(CallerError):
    """The current state does not allow the request."""

    reason = "conflict"


class PreconditionFailed(CallerError):
    """The playbook has changed since you read it; read it again."""

    reason = "precondition-failed"


class KeyReused(CallerError):
    """This Idempotency-Key was used before, for another request."""

    reason = "key-reused"


class TooLarge(CallerError):
    """The body is too large."""

    reason = "too-large"


class NotAuthenticated(CallerError):
    """A valid token is needed."""

    reason = "not-authenticated"


class NotAllowed(CallerError):
    """This token does not have the right that the request needs."""

    reason = "not-allowed"


# -- the operator must act --------------------------------------------------------------------------


class OperatorError(ReleaseEngineError):
    """The engine cannot run in this environment."""

    reason = "operator"


class BadSettings(OperatorError):
    """A setting is wrong."""

    reason = "bad-settings"


class NotStorable(CallerError):
    """The store cannot keep this document."""

    reason = "not-storable"


class StoreRefused(OperatorError):
    """The store cannot be used; nothing in it was changed."""

    reason = "store-refused"


class DamagedArtifact(StoreRefused):
    """The artifact is damaged; push the same files again, which repairs it, or restore a backup."""


class BusRefused(OperatorError):
    """The bus cannot be used; waiting does not help."""

    reason = "bus-refused"


class NewerFormat(StoreRefused):
    """A newer engine wrote this; upgrade this engine."""

    reason = "newer-format"


class DataDirLocked(OperatorError):
    """Another engine uses this data directory."""

    reason = "data-dir-locked"


# -- transient: wait and try again -----------------------------------------------------------------


class TransientError(ReleaseEngineError):
    """The request cannot be carried out now; try again."""

    reason = "try-again"


class Expired(TransientError):
    """The request expired before the core received it; nothing was started."""

    reason = "expired"


class NoAnswer(TransientError):
    """The core did not answer in time; find out whether the request was carried out before you repeat it."""

    reason = "no-answer"

    def __init__(self, message: str = "", id: str = "") -> None:
        super().__init__(message)
        #: of what was asked for, so that the caller can look
        self.id = id


class StoreUnavailable(TransientError):
    """The store does not answer."""

    reason = "store-unavailable"


class BusUnavailable(TransientError):
    """The bus does not answer."""

    reason = "bus-unavailable"
