"""What can go wrong for a client, and the exit code of `rectl` for each. Must not know HTTP beyond its status codes."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.errors import Problem, ReleaseEngineError

#: exit codes of `rectl`, promised to scripts
DONE, NOT_COMPLETED, BAD_INPUT, NOT_REACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


class ClientError(ReleaseEngineError):
    """The command could not be carried out."""

    reason = "client"
    #: what `rectl` exits with
    exit_code = BAD_INPUT
    #: worth trying again as it is
    transient = False


class BadInput(ClientError):
    """What was asked for cannot be done as it was asked."""

    reason = "bad-input"


class NotReachable(ClientError):
    """The release engine cannot be reached."""

    reason = "not-reachable"
    exit_code = NOT_REACHABLE
    transient = True


class NotDelivered(ClientError):
    """The notification did not arrive."""

    reason = "not-delivered"
    exit_code = NOT_COMPLETED


class ApiError(ClientError):
    """The release engine refused the request (RFC 9457). `status` is HTTP's, `type` the problem's, `problems` its `errors`."""

    reason = "refused"

    def __init__(
        self,
        message: str,
        status: int = 0,
        type: str = "",
        problems: Sequence[Problem] = (),
        retry_after: float = 0,
        deployment: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.problems = tuple(problems)
        #: seconds that the server asks to wait
        self.retry_after = retry_after
        #: id of the deployment that stands in the way; empty where none does
        self.deployment = deployment

    def __str__(self) -> str:
        text = super().__str__()
        if len(self.problems) == 1 and self.problems[0].message == text:
            return problem_line(self.problems[0])
        rest = [f"  {problem_line(problem)}" for problem in self.problems]
        if self.deployment:
            rest.append(f"  see what it does:  rectl status {self.deployment}")
        return "\n".join([text, *rest])


class NotFound(ApiError):
    """There is no such thing."""

    reason = "not-found"


class NotAuthorized(ApiError):
    """The token is missing, unknown or does not reach that far."""

    reason = "not-authorized"
    exit_code = NOT_REACHABLE


class Unavailable(ApiError):
    """The release engine answers, but cannot do it now."""

    reason = "unavailable"
    exit_code = NOT_REACHABLE
    transient = True


def problem_line(problem: Problem) -> str:
    """`12:3: /execution/0/hosts: expected a list, found a string`, with what is known of it."""
    place = ":".join(str(number) for number in (problem.line, problem.column) if number is not None)
    return ": ".join(part for part in (place, problem.path, problem.message) if part)
