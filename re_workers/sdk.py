"""What a worker's author writes: a class per command, a method per step. Must not know the bus.

    class Greet(Worker):
        @step(idempotent=True)
        def Hello(self, ctx: Context, name: str) -> None:
            ctx.output(f"Hello {name}")

makes the step `greet:Hello`. What is wrong with a worker is a TypeError when its class is made, not when it runs.

Beside a method may stand what it would change, without changing it:

    @Hello.plan
    def _(self, ctx: Context, name: str) -> Change:
        return Change("yes", why=f"{name} has not been greeted")
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    Literal,
    NamedTuple,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)

from re_core.playbook.formats import ENVIRONMENT, PASSES
from re_core.wire.foresight import PLANS
from re_workers.artifacts import NoShelf, Shelf
from re_workers.context import Call
from re_workers.host_handle import Reaching, on_this_machine
from re_workers.signature import Signature, hint, read_signature

#: the name of a step that stands for every name
ANY = "*"

_MARK = "__release_engine_step__"
_PLAN = "__release_engine_plan__"
_WORD = re.compile(r"\w+\Z")

_Worker = TypeVar("_Worker")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Planner = TypeVar("_Planner", bound=Callable[..., object])


class Change(NamedTuple):
    """What a step would change, where it was not run."""

    will: Literal["yes", "no", "unknown"]
    #: unified diff, where there is one
    diff: str = ""
    #: for people: "nginx 1.24 is installed"
    why: str = ""


class Method(Generic[_Worker, _Parameters, _Result]):
    """What a method marked with `step` is to a type checker: the method as it was, with `plan`. At run time it is the plain function."""

    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Self: ...
    @overload
    def __get__(self, instance: _Worker, owner: type[Any], /) -> Callable[_Parameters, _Result]: ...
    def __get__(self, instance: object, owner: type[Any], /) -> object:
        raise NotImplementedError

    def __call__(self, worker: _Worker, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        """As of the function."""
        raise NotImplementedError

    def plan(self, planner: _Planner, /) -> _Planner:
        """Mark a method, with the same parameters, or some of them and `**names`, that says which Change the step would make."""
        raise NotImplementedError


class Options(NamedTuple):
    """What the author says of a step, beside its signature; a playbook may say otherwise (docs/reference/playbook.md, Step)."""

    #: empty: the method's name; `*` any name that no other step has
    name: str = ""
    #: a lost attempt may be repeated
    idempotent: bool = False
    #: how often a failed or lost attempt is repeated
    retries: int = 0
    #: seconds from the step's start; None leaves it to the engine's setting
    timeout: float | None = None
    #: over at once, so run without a thread of its own; one that waits for anything blocks all others of its command
    quick: bool = False
    #: it gives all of the deployment's dynamic values to programs, as variables of their environment
    environment: bool = False
    #: all that it does, it does by runs on its host: where its worker dies, another one goes on with it
    recorded: bool = False
    #: attempts of it at once in one process, more of which wait; None leaves it to the worker's slots
    concurrency: int | None = None


class Step(NamedTuple):
    """One step that a worker offers."""

    name: str
    #: the method, to be called with the worker, the context and the arguments
    call: Callable[..., object]
    signature: Signature
    #: first paragraph of the method's docstring
    summary: str
    options: Options
    #: says what the step would change, called as `call`; None where that cannot be known
    plan: Callable[..., Change] | None = None

    @property
    def is_async(self) -> bool:
        """Its method is a coroutine."""
        return inspect.iscoroutinefunction(self.call)

    def offer(self) -> dict[str, Any]:
        """What the heartbeat says of it."""
        options, returned = self.options, self.signature.returned
        offer: dict[str, Any] = {
            "parameters": {**self.signature.schema(), **({PASSES: ENVIRONMENT} if options.environment else {})},
            "summary": self.summary,
            "idempotent": options.idempotent,
            "retries": options.retries,
            "timeout": options.timeout,
        }
        if self.plan is not None:
            offer[PLANS] = True
        return offer if returned is None else {**offer, "returns": returned.schema}


class Mark(Protocol):
    """Makes a method a step."""

    @overload
    def __call__(
        self, method: Callable[Concatenate[_Worker, _Parameters], _Result], /
    ) -> Method[_Worker, _Parameters, _Result]: ...
    @overload
    def __call__(self, method: _Planner, /) -> _Planner: ...


@overload
def step(method: Callable[Concatenate[_Worker, _Parameters], _Result], /) -> Method[_Worker, _Parameters, _Result]: ...
@overload
def step(method: _Planner, /) -> _Planner: ...


@overload
def step(
    *,
    name: str = ...,
    idempotent: bool = ...,
    retries: int = ...,
    timeout: float | None = ...,
    quick: bool = ...,
    environment: bool = ...,
    recorded: bool = ...,
    concurrency: int | None = ...,
) -> Mark: ...


def step(
    method: Callable[..., object] | None = None,
    /,
    *,
    name: str = "",
    idempotent: bool = False,
    retries: int = 0,
    timeout: float | None = None,
    quick: bool = False,
    environment: bool = False,
    recorded: bool = False,
    concurrency: int | None = None,
) -> Any:
    """Make a method a step; `Options` says what each means. With or without parentheses."""
    if retries < 0 or (timeout is not None and timeout <= 0):
        raise TypeError("retries must be 0 or more, and timeout a number of seconds above 0")
    if concurrency is not None and concurrency < 1:
        raise TypeError("concurrency must be 1 or more")
    if quick and (recorded or concurrency is not None):
        raise TypeError("a quick step has no thread: it neither waits for a host nor for others of its kind")
    options = Options(name, idempotent, retries, timeout, quick, environment, recorded, concurrency)

    def mark(marked: Callable[..., object]) -> Callable[..., object]:
        def plan(planner: _Planner) -> _Planner:
            setattr(marked, _PLAN, planner)
            return planner

        setattr(marked, _MARK, options)
        setattr(marked, "plan", plan)  # noqa: B010 - a function has no such attribute
        return marked

    return mark if method is None else mark(method)


class Worker:
    """Carries out the steps of one command. Make a subclass; its methods marked with `step` are the steps.

    One object serves all attempts, several at once, each on a thread of its own: what it keeps in itself needs a lock.
    """

    #: the part before the colon; the class's name in lower case unless given
    command: ClassVar[str] = ""
    #: attempts that it runs at once; None leaves it to the process
    slots: ClassVar[int | None] = None
    #: what its steps start goes on without this process: at an orderly stop `ctx.stopping` is set, and nothing is cancelled
    outlives: ClassVar[bool] = False
    #: makes what reaches a host, of its name and facts; set by the process that runs the worker
    reach: Reaching = staticmethod(on_this_machine)
    #: no other process has such a worker, but for the next start of this one: it finds what this one has recorded on the machine
    alone: bool = False
    #: hears of each recorded attempt whose outcome is in the journal, so that its records may go; set as `reach` is
    kept: Callable[[str], None] = staticmethod(lambda attempt_id: None)
    #: where artifacts are; set by the process that runs the worker
    shelf: Shelf = NoShelf()
    #: tell the process that lanes, their capacity or offers have changed, from any thread; set by the process that runs the worker
    changed: Callable[[], None] = staticmethod(lambda: None)
    #: by name, of this class and its bases
    steps: ClassVar[Mapping[str, Step]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.command = cls.__dict__.get("command") or cls.__name__.lower()
        if not _WORD.match(cls.command):
            raise TypeError(f"{cls.__name__}: the command {cls.command!r} is not one word")
        steps = {}
        for attribute, method in inspect.getmembers(cls, inspect.isfunction):
            options = getattr(method, _MARK, None)
            if isinstance(options, Options):
                name = options.name or attribute
                if name.startswith("_"):  # the variable of a loop over steps is an attribute too
                    raise TypeError(f"{cls.command}:{name}: the name of a step does not begin with `_`")
                steps[name] = _step(cls.command, name, method, options)
        cls.steps = steps

    @property
    def crowd(self) -> int:
        """Attempts that one of its steps may have at once, by its `concurrency`; 0 where none says so."""
        return max((one.options.concurrency or 0 for one in self.steps.values()), default=0)

    @classmethod
    def find(cls, subcommand: str) -> Step | None:
        """The step of this name, or the one for any name."""
        return cls.steps.get(subcommand) or cls.steps.get(ANY)

    @classmethod
    def unknown(cls, subcommand: str) -> str:
        """What to say where `find` finds nothing."""
        return f"{cls.command} has no step {subcommand[:80]!r}{hint(subcommand, cls.steps)}"

    def offers(self) -> dict[str, dict[str, Any]]:
        """`command:Subcommand` -> what the heartbeat says of it. One that overrides this is asked for every heartbeat."""
        return {f"{self.command}:{name}": one.offer() for name, one in self.steps.items()}

    def records(self, call: Call) -> bool:
        """Whether every worker of the command reaches the host on which a recorded step keeps what it runs; else it is lost with its
        worker, as a step that is not recorded."""
        return True

    def lanes(self) -> Mapping[str, int] | None:
        """Lane -> attempts at once, of a worker whose steps are divided into lanes; None: they are not.

        Asked at the start, with every heartbeat and after `changed`, by any thread. A lane's name has 1 to 200 characters of
        `A-Z a-z 0-9 _ . @ / -`.
        """
        return None

    def lane(self, arguments: Mapping[str, Any]) -> str:
        """Of a worker with lanes: the one of a step with these arguments, which were checked."""
        raise NotImplementedError(f"{type(self).__name__} has lanes and does not say which one a step belongs to")

    def lane_of(self, subcommand: str, arguments: Mapping[str, Any]) -> str:
        """As `lane`, where the step's name counts too: what the process calls."""
        return self.lane(arguments)

    def reserve(self, call: Call, token: str, arguments: Mapping[str, Any]) -> bool:
        """Of a worker with lanes: set aside what this attempt needs, before it is claimed; False where there is nothing free.

        It is asked again when `changed` is called, and the step goes to another process after 5 s. `token` is new for every
        delivery of the attempt. Called on the lane's thread: return at once.
        """
        return True

    def unreserve(self, call: Call, token: str) -> None:
        """What `reserve` has set aside for this delivery is free: it will not begin, or has ended without an outcome."""

    def refused(self, attempt_id: str) -> None:
        """The core does not want this process to go on with a run that it resumed: the attempt has ended, is fenced, or another
        process has it. Called on the consumer's thread: return at once."""

    def settled(self, attempt_id: str) -> None:
        """The bus has taken the attempt's outcome, or that it is lost. Called on the consumer's thread: return at once."""

    def close(self) -> None:
        """Called once, when the process ends and no step runs any more."""


def _step(command: str, name: str, method: Callable[..., object], options: Options) -> Step:
    where = f"{command}:{name}"
    if name != ANY and not _WORD.match(name):
        raise TypeError(f"{where}: a step's name is one word, or {ANY}")
    if inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method):
        raise TypeError(f"{where}: a step returns once; it cannot yield")
    if options.quick and inspect.iscoroutinefunction(method):
        raise TypeError(f"{where}: a coroutine waits, so it cannot be quick")
    summary = " ".join((inspect.getdoc(method) or "").split("\n\n")[0].split())
    signature = read_signature(method, where)
    return Step(name, method, signature, summary, options, _planner(method, signature, where))


def _planner(method: Callable[..., object], signature: Signature, where: str) -> Callable[..., Change] | None:
    planner = getattr(method, _PLAN, None)
    if planner is None:
        return None
    if inspect.iscoroutinefunction(planner):
        raise TypeError(f"{where}: its plan is a plain function, not a coroutine")
    found = read_signature(planner, f"{where}, plan")
    takes_all = found.open and found.parameters.keys() <= signature.parameters.keys()
    if not takes_all and (list(found.parameters), found.open) != (list(signature.parameters), signature.open):
        raise TypeError(f"{where}: its plan has other parameters than the step")
    return cast(Callable[..., Change], planner)
