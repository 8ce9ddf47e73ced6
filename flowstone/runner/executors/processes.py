"""Functions called in processes of our own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstone.core.context import Context
from flowstone.errors import DefinitionError, WorkerDiedError
from flowstone.log import unkept
from flowstone.runner.executors.base import ABSENT, refusal
from flowstone.runner.executors.crew import Crew
from flowstone.runner.executors.naming import without_function
from flowstone.runner.executors.texts import texts
from flowstone.runner.executors.wire import Packed, Wire, pack
from flowstone.runner.executors.worker import (
    Call,
    Failed,
    Greeting,
    Held,
    Kept,
    Logged,
    Request,
    SentLogger,
    Stored,
    Text,
    is_worker,
)
from flowstone.runner.failure import Failure, describe
from flowstone.runner.output import capturing
from flowstone.runner.step import Lost, Made
from flowstone.runner.versions import Input

if TYPE_CHECKING:
    from flowstone.core.context import Logger
    from flowstone.runner.executors.base import Job
    from flowstone.runner.executors.worker import Answer
    from flowstone.runner.output import Output
    from flowstone.runner.step import Outcome
    from flowstone.values import Keeper

#: Seconds that an idle process has to end when its executor is closed.
_ENDING_SECONDS = 5.0

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    " from flowstone.runner.executors.worker import main; main(int(sys.argv[1]))"
)


class Processes(Crew):
    """Calls functions in up to ``size`` processes, which stay until this is closed.

    They are new programs, not forks: a fork of a program with threads may hang, and would use
    its connections. Each has the working folder, the environment and ``sys.path`` that this
    process had when the first job was submitted, a process group of its own, and no terminal. A
    script is not run again in them, as ``multiprocessing`` would: what ``__main__`` and function
    bodies define goes by value, all else by its name.

    A module of the project that was edited after it was imported here fails the calls that import
    it: what is recorded names the code that was imported. So does one that is reloaded here later,
    for which a new ``Processes`` is needed, as each run has.

    Inputs that are stored go by reference, and so do stored results: ``Made.value`` is then
    ``ABSENT``. What is not stored is pickled. What the functions write to stdout or stderr appears
    on stderr here, and what they log is logged here, both in the context of the job.

    A call whose time is out is killed along with its process. The end of a process fails its call
    with a ``WorkerDiedError``, and another is started for the next. When this process is gone, they
    end too, a second later.
    """

    by_reference = True

    def __init__(self, size: int) -> None:
        self._setting: _Setting | None = None
        self._keepers = _Keepers()
        super().__init__(size, self._new, name="flowstone process", ahead=size, burst=size)

    def submit(self, job: Job) -> None:
        """Take a job; it begins when a process is free."""
        if self._setting is None:
            self._setting = _Setting.of_now()
        super().submit(job)

    def _new(self) -> _Elsewhere:
        return _Elsewhere(self._setting or _Setting.of_now(), self._keepers)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What new processes have from this one."""

    path: list[str]
    argv: list[str]
    folder: str
    environment: dict[str, str]
    texts: dict[str, str]

    @classmethod
    def of_now(cls) -> _Setting:
        path, folder, environment = list(map(str, sys.path)), str(Path.cwd()), dict(os.environ)
        return cls(path, list(sys.argv), folder, environment, texts())


class _Keepers:
    """The keepers of a run, pickled once: there is mostly one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[tuple[Keeper, Packed]] = []

    def packed(self, keeper: Keeper) -> Packed:
        with self._lock:
            for known, packed in self._known:
                if known is keeper:
                    return packed
            packed = pack(keeper)
            self._known.append((keeper, packed))
            return packed


class _Elsewhere:
    """Calls in a process that belongs to one thread here."""

    def __init__(self, setting: _Setting, keepers: _Keepers) -> None:
        self._setting, self._keepers = setting, keepers
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire
        self.ready = False

    def prepare(self) -> None:
        """Have a process that waits for calls.

        Raises:
            DefinitionError: in a process of a run, which would start others without end.
            WorkerDiedError: if it ends at once.
            OSError: if the system has no process to give.
        """
        if self._process is not None:
            if self._process.poll() is None:
                self.ready = True
                return
            self._end()
        if is_worker():
            raise DefinitionError(
                "a process of a run can't start processes; don't run assets while a module is"
                " imported, or use executor='thread' inside of assets"
            )
        self._start()
        try:
            self._wire.send(Greeting(self._setting.argv, self._setting.texts))
            self._wire.receive()
        except (EOFError, OSError):
            msg = f"a new process {self._end()} before its first call; see its stderr"
            raise WorkerDiedError(msg) from None
        self.ready = True

    def call(self, job: Job) -> Outcome:
        """Have the function called, and rebuild what became of it."""
        asset = job.assets[0]
        if refused := refusal(asset):
            return describe(DefinitionError(refused))
        logger = next((a.logger for a in job.arguments.values() if isinstance(a, Context)), None)
        # What ran here before may have left a thread that ended the process meanwhile.
        self.prepare()
        try:
            request = self._request(job)
        except Exception as error:  # noqa: BLE001 - what can't be pickled raises anything
            msg = f"{asset.label} can't be called in a process: {describe(error).line}"
            return describe(DefinitionError(f"{msg}; use executor='thread'"))
        try:
            self._wire.send_packed(request)
            with capturing(job.output):
                outcome = _outcome(self._answer(job.output, logger))
        except (EOFError, OSError):
            msg = f"{job.label}: its process {self._end()}"
            return describe(WorkerDiedError(msg))
        except BaseException:
            self._end()  # the answer may be under way, and is not that of the next call
            raise
        if not isinstance(outcome, Lost):
            job.arguments.clear()
        return outcome

    def stop(self) -> bool:
        """Kill the process; the call ends then."""
        self._kill()
        return True

    def close(self) -> None:
        """Let the process end, or else kill it."""
        if self._process is not None:
            self._wire.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDING_SECONDS)
            self._end()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - what multiprocessing uses
            path = json.dumps(self._setting.path)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, *flags, "-c", _START, str(number), path],
                    pass_fds=[number],
                    cwd=self._setting.folder,
                    env=self._setting.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=2,
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        self._wire = Wire(ours)

    def _request(self, job: Job) -> Packed:
        inputs = {name for name, _ in job.assets[0].edges}
        arguments = {
            name: _crossing(value, is_input=name in inputs) for name, value in job.arguments.items()
        }
        call = pack(Call(job.assets, arguments))
        return pack(Request(self._keepers.packed(job.values), call))

    def _answer(self, output: Output, logger: Logger | None) -> Answer:
        while True:
            message = self._wire.receive().unpack()
            # A stream or a logger that refuses a line fails nobody's call.
            with contextlib.suppress(Exception):
                if isinstance(message, Text):
                    output.write(message.stream, message.text)
                    with unkept():
                        sys.stderr.write(message.text)
                elif isinstance(message, Logged) and logger is not None:
                    getattr(logger, message.method)(message.event, **message.fields)
            if not isinstance(message, Text | Logged):
                answer: Answer = message
                return answer

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _end(self) -> str:
        """Make sure that the process is gone, and say how it ended."""
        process, self._process = self._process, None
        self.ready = False
        if process is None:
            return "never began"
        self._wire.close()
        if process.returncode is None:
            # One that has ended keeps how it ended; those it has started end as well.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        return _said(process.wait())


def _said(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"
    return f"was killed by signal {-code}"


def _crossing(value: Any, *, is_input: bool) -> Any:
    """An argument as it goes to a process: what is in a file goes as its name."""
    if isinstance(value, Context):
        return replace(value, logger=SentLogger())
    if isinstance(value, Input):
        return Stored(without_function(value.asset), value.pointer)
    return Held(value) if is_input else value


def _outcome(answer: Answer) -> Outcome:
    if isinstance(answer, Failed):
        return _failure(answer)
    if isinstance(answer, Lost):
        return answer
    return [_failure(each) if isinstance(each, Failed) else _made(each) for each in answer]


def _made(kept: Kept) -> Made | Failure:
    if kept.value is None:
        return Made(ABSENT, kept.saved, kept.data_version, kept.what)
    try:
        return Made(kept.value.unpack(), kept.saved, kept.data_version, kept.what)
    except Exception as error:  # noqa: BLE001 - its classes may raise anything
        return describe(error)


def _failure(failed: Failed) -> Failure:
    """The failure with its exception, or another of that name if it can't be rebuilt here."""
    exception: Any = None
    with contextlib.suppress(Exception):
        exception = failed.exception.unpack() if failed.exception is not None else None
    if not isinstance(exception, BaseException):
        module, _, name = failed.type.rpartition(".")
        kind = type(name, (Exception,), {"__module__": module or "builtins"})
        exception = kind(failed.message)
    with contextlib.suppress(Exception):  # an exception may refuse all attributes
        exception.add_note(f"in a process of its own:\n{failed.traceback}")
    return Failure(failed.type, failed.message, failed.traceback, exception)
