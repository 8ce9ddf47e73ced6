"""Simulated time: processes with an event loop each, and what happens between them."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import collections
    from collections.abc import Callable, Coroutine, Iterator

#: Seconds of simulated time that a turn of an event loop takes.
TURN = 20e-6
#: Seconds of simulated time after which somebody who has not ended hangs.
LIMIT = 3_600.0
#: Turns after which a history that does not end is spinning.
TURNS = 400_000

_NEVER = float("inf")

State: TypeAlias = Literal["up", "paused", "dead", "over"]

#: A moment of a call: before it is sent, when it is, when it was carried out.
Moment: TypeAlias = Literal["asking", "asked", "answered"]


class ViolationError(AssertionError):
    """Something that must never happen has happened."""


class World:
    """One clock, one source of chance, and all that is yet to happen.

    ``note`` takes down what happens; ``violate`` ends the history, and ``broken`` is why.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"world {seed}")  # noqa: S311 - no secret
        self.now = 1_000_000.0
        self.began = self.now
        self.processes: list[Process] = []
        self.notes: list[tuple[float, str, str]] = []
        self.turns = 0
        self._events: list[tuple[float, float, int, Callable[[], object]]] = []
        self.broken: ViolationError | None = None

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Have something happen; what is due at one time happens in any order."""
        entry = (self.now + seconds, self.chance.random(), len(self.notes), act)
        heapq.heappush(self._events, entry)

    def note(self, who: str, what: str) -> None:
        """Take down what happens."""
        self.notes.append((self.now, who, what))

    def violate(self, what: str) -> None:
        """End the history with this; the first such counts."""
        if self.broken is None:
            self.note("VIOLATION", what)
            self.broken = ViolationError(what)

    def run(self) -> None:
        """Let everything happen until nothing is left to.

        Raises:
            ViolationError: if something happened that must not, or somebody hangs.
        """
        until = self.now + LIMIT
        while self.broken is None and self._next():
            if self.now > until:
                self.violate(f"still going on after {LIMIT:g} s: {self._unfinished()}")
            elif self.turns > TURNS:
                self.violate(f"still going on after {TURNS} turns: {self._unfinished()}")
        if self.broken is None and (waiting := self._unfinished()):
            self.violate(f"waits for ever: {waiting}")
        if self.broken is not None:
            raise self.broken

    def _unfinished(self) -> str:
        return ", ".join(each.name for each in self.processes if each.state in ("up", "paused"))

    def _next(self) -> bool:
        """Let the next thing happen; whether there was any."""
        due = self._events[0][0] if self._events else _NEVER
        able, at = self._able()
        if able and due > self.now:
            self._turns(able[0] if len(able) == 1 else self.chance.choice(able))
            return True
        if due <= max(at, self.now) and due < _NEVER:
            self.now = max(self.now, due)
            heapq.heappop(self._events)[3]()
        elif at < _NEVER:
            self.now = max(self.now, at)
        else:
            return False
        for each in self.processes:
            each.is_spinning = False
        return True

    def _able(self) -> tuple[list[Process], float]:
        """Who would do something now, and when the next timer of anybody is due."""
        able: list[Process] = []
        soonest = _NEVER
        for each in self.processes:
            if each.state == "up":
                at = each.loop.next_at()
                soonest = min(soonest, at)
                if at <= self.now or (each.loop.is_ready and not each.is_spinning):
                    able.append(each)
        return able, soonest

    def _turns(self, process: Process) -> None:
        """Whoever is able goes on until something happens beside."""
        with process.loop.at_work():
            while True:
                self.turns += 1
                process.turn()
                self.now += TURN
                if self._events and self._events[0][0] <= self.now:
                    break
                if process.state != "up" or process.is_spinning or not process.loop.is_ready:
                    break


class Process:
    """A process with an event loop; it may be stopped for a while, or be gone at once."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.state: State = "up"
        self.is_spinning = False
        #: What is to befall it with its n-th call of the store: to be stopped, or killed (None).
        self.dooms: dict[tuple[int, Moment], float | None] = {}
        self._calls = 0
        #: When it last went on after it was stopped.
        self.stopped_at = 0.0
        #: Happens at once when it is gone.
        self.on_crash: Callable[[], object] = lambda: None
        self.loop = Loop(world)
        self._woken: list[Callable[[], object]] = []
        world.processes.append(self)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this, and be over when it is done."""
        task = self.loop.create_task(work)
        task.add_done_callback(self._ended)

    def turn(self) -> None:
        """Call what is ready, as one turn of an event loop does."""
        self.is_spinning = self.loop.turn(lambda: self.state == "up")

    def tell(self, act: Callable[[], object]) -> None:
        """Something comes from outside: its loop hears of it once it runs."""
        if self.state in ("up", "paused"):
            self.loop.call_soon_threadsafe(act)

    def in_thread(self, act: Callable[[], object]) -> None:
        """A thread of the process does something, when the process is not stopped."""
        if self.state == "up":
            act()
        elif self.state == "paused":
            self._woken.append(act)

    def counted(self) -> int:
        """The number of a call of the store that begins now."""
        self._calls += 1
        return self._calls

    def befall(self, call: int, moment: Moment) -> None:
        """Be killed or stopped, if that is to be."""
        if (call, moment) in self.dooms:
            seconds = self.dooms.pop((call, moment))
            self.crash() if seconds is None else self.pause(seconds)

    def crash(self) -> None:
        """Be gone, without any cleaning up."""
        if self.state in ("up", "paused"):
            self.world.note(self.name, "is killed")
            self.state = "dead"
            self.world.after(0.0, self.on_crash)

    def pause(self, seconds: float) -> None:
        """Be stopped for a while: the world goes on."""
        if self.state == "up":
            self.world.note(self.name, f"is stopped for {seconds:.1f} s")
            self.state = "paused"
            self.world.after(seconds, self._resume)

    def _resume(self) -> None:
        if self.state == "paused":
            self.world.note(self.name, "goes on")
            self.stopped_at = self.world.now
            self.state = "up"
            woken, self._woken = self._woken, []
            for act in woken:
                act()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.state == "up":
            self.state = "over"
        error = None if task.cancelled() else task.exception()
        if error is not None and self.state != "dead":
            self.world.note(self.name, f"raised {type(error).__name__}: {error}")
            self.world.violate(f"{self.name} raised {type(error).__name__}: {error}")

    def clean_up(self) -> None:
        """Let what is left end, when the history is over: nothing of it is looked at."""
        self.loop.finish()


class _Task(asyncio.Task[Any]):
    """A task with the same place in sets in each replay."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class Loop(asyncio.BaseEventLoop):
    """An event loop on the clock of a world; who has it says when it takes a turn."""

    _ready: collections.deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._tasks: list[_Task] = []  # asyncio holds them weakly, and those of the dead count too
        self.set_task_factory(self._task)  # type: ignore[arg-type]  # as typeshed has it in 3.13

    def time(self) -> float:
        return self._world.now

    @property
    def is_ready(self) -> bool:
        """Whether something is to be called at once."""
        return bool(self._ready)

    def next_at(self) -> float:
        """When the next timer is due."""
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:  # no call: it is asked often
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]  # as asyncio
        return scheduled[0].when() if scheduled else _NEVER

    def turn(self, may_go_on: Callable[[], bool]) -> bool:
        """Call what is ready; whether that was nothing but anyio's repeating of a cancellation."""
        while self.next_at() <= self._world.now:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]  # as asyncio does
            self._ready.append(handle)
        is_spinning = True
        for _ in range(len(self._ready)):
            handle_ = self._ready.popleft()
            if handle_._cancelled:
                continue
            if is_spinning:
                name = getattr(handle_._callback, "__name__", "")  # type: ignore[attr-defined]  # typeshed lacks it
                is_spinning = name == "_deliver_cancellation"
            handle_._run()
            if not may_go_on():
                break
        return is_spinning

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Within, it is the loop that is running."""
        asyncio._set_running_loop(self)
        self._thread_id = threading.get_ident()
        try:
            yield
        finally:
            self._thread_id = None  # type: ignore[assignment]  # as asyncio does
            asyncio._set_running_loop(None)

    def finish(self) -> None:
        """Cancel what was begun here, and let it end."""
        for _ in range(100):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                break
            left[0].cancel()
            with self.at_work():
                for _ in range(10):
                    self._world.now += 1.0
                    self.turn(lambda: True)
        self.close()

    def _task(
        self, _: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> _Task:
        task = _Task(len(self._tasks), coro, loop=self, **options)
        self._tasks.append(task)
        return task

    def _write_to_self(self) -> None:
        """Nothing to wake: it takes its turns when it has something to do."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody looked at; those who are gone leave much of that."""
