"""The floors: what the same work costs when it is written by hand for this one purpose."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import psycopg
import rustworkx as rx

from benchmarks.speed import rows
from benchmarks.speed.graphs import below, dependents, sources
from benchmarks.speed.writer import FINISH, HOLD, STAND_CLAIMED, START, Writer, filled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.speed.graphs import Graph

    Body = Callable[..., Any]
    Begun = Callable[[str], None]
    Ended = Callable[[str, Any], None]

WIDTH = 16
#: Nodes after which others have their turn on the loop.
TURN = 8
COPY_COMMIT = 256
#: Where the data version stands in the columns of the table.
_DATA_VERSION = 13
_READ = (
    "SELECT m.* FROM flowstone_current c JOIN flowstone_materializations m"
    " ON m.id = c.materialization_id WHERE c.asset_name = ANY(%s) AND c.partition IS NULL"
)


async def queued(
    graph: Graph, body: Callable[..., Awaitable[Any]], begun: Begun, ended: Ended
) -> None:
    """Call the body for every node, ``WIDTH`` at once, on the event loop."""
    after, waiting = dependents(graph), {name: len(needs) for name, needs in graph.items()}
    values: dict[str, Any] = {}
    ready: asyncio.Queue[str] = asyncio.Queue()
    for name in sources(graph):
        ready.put_nowait(name)
    done = asyncio.get_running_loop().create_future()

    async def work() -> None:
        while True:
            name = await ready.get()
            begun(name)
            values[name] = value = await body(*[values[each] for each in graph[name]])
            ended(name, value)
            for each in after[name]:
                waiting[each] -= 1
                if not waiting[each]:
                    ready.put_nowait(each)
            if len(values) == len(graph):
                done.set_result(None)
            elif not len(values) % TURN:
                await asyncio.sleep(0)  # neither queue nor body waits: let the writer go on

    workers = [asyncio.ensure_future(work()) for _ in range(WIDTH)]
    await asyncio.wait([done, *workers], return_when=asyncio.FIRST_COMPLETED)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(done if done.done() else workers[0])


class Threads:
    """Threads that share the state of one run, so that none hands a node to another and waits.

    Only one thread is being woken at any time, and it wakes the next if there is more to do: short
    bodies are called by few threads, long ones by all.
    """

    def __init__(self, graph: Graph, body: Body, begun: Begun, ended: Ended) -> None:
        self._graph, self._body, self._begun, self._ended = graph, body, begun, ended
        self._after = dependents(graph)
        self._waiting = {name: len(needs) for name, needs in graph.items()}
        self._values: dict[str, Any] = {}
        self._ready: deque[str] = deque(sources(graph))
        self._lock, self._gate = threading.Lock(), queue.SimpleQueue[bool]()
        self._waking = False
        self._done = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Call the body for every node."""
        for _ in range(WIDTH):
            threading.Thread(target=self._work, daemon=True).start()
        self._wake()
        await self._done

    def _wake(self) -> None:
        if not self._waking:
            self._waking = True
            self._gate.put(True)  # noqa: FBT003 - whether to go on

    def _work(self) -> None:
        while self._gate.get():
            self._waking = False  # before looking: what comes later wakes again
            while (name := self._next()) is not None:
                value = self._body(*[self._values[each] for each in self._graph[name]])
                self._take(name, value)

    def _next(self) -> str | None:
        with self._lock:
            if not self._ready:
                return None
            name = self._ready.popleft()
            self._begun(name)
            if self._ready:
                self._wake()
            return name

    def _take(self, name: str, value: Any) -> None:
        with self._lock:
            self._values[name] = value
            self._ended(name, value)
            for each in self._after[name]:
                self._waiting[each] -= 1
                if not self._waiting[each]:
                    self._ready.append(each)
            if len(self._values) == len(self._graph):
                for _ in range(WIDTH):
                    self._gate.put(False)  # noqa: FBT003 - whether to go on
                loop = self._done.get_loop()
                loop.call_soon_threadsafe(self._done.set_result, None)


async def threaded(graph: Graph, body: Body, begun: Begun, ended: Ended) -> None:
    """Call the body for every node, ``WIDTH`` at once, in threads."""
    await Threads(graph, body, begun, ended).run()


async def recorded(url: str, graph: Graph, body: Body, *, in_threads: bool) -> float:
    """The seconds of floor+: run the graph and record all of it, durable at return."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        writer = Writer(conn, graph, claims=await has_claims(conn))
        begun = time.perf_counter()
        await _record(writer, graph, body, in_threads=in_threads)
        return time.perf_counter() - begun


async def remade(url: str, graph: Graph, body: Body, changed: list[str]) -> float:
    """The seconds of floor+ when few changed: read what is current, and make what is below."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        claims = await has_claims(conn)
        begun = time.perf_counter()
        found = await (await conn.execute(_READ, [list(graph)])).fetchall()
        affected = below(graph, changed)
        part = {name: needs for name, needs in graph.items() if name in affected}
        writer = Writer(conn, graph, claims=claims)
        for row in found:
            writer.known(row[1], str(row[0]), row[_DATA_VERSION])
        inside = {name: [each for each in needs if each in part] for name, needs in part.items()}
        await _record(writer, inside, body, in_threads=False)
        return time.perf_counter() - begun


async def _record(writer: Writer, graph: Graph, body: Body, *, in_threads: bool) -> None:
    await writer.start(graph)
    writing = asyncio.ensure_future(writer.write())
    await (threaded if in_threads else queued)(graph, body, writer.begun, writer.ended)
    writer.close()
    await writing


async def bare(graph: Graph, body: Body, *, in_threads: bool) -> float:
    """The seconds of the queue alone; nothing is recorded."""
    begun = time.perf_counter()
    await (threaded if in_threads else queued)(graph, body, _ignore, _ignore)
    return time.perf_counter() - begun


async def has_claims(conn: psycopg.AsyncConnection[Any]) -> bool:
    """Whether claims are kept along with what is current."""
    found = await conn.execute(
        "SELECT FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
        " AND table_name = 'flowstone_current' AND column_name = 'claimed_by'"
    )
    return found.rowcount > 0


def copied(url: str, graph: Graph) -> float:
    """The seconds of COPY for the rows of a run that is over, a commit per ``COPY_COMMIT``."""
    run, now = rows.digest("copy")[:16], time.time()
    made: dict[str, rows.Made] = {}
    for name, needs in graph.items():
        upstream = [made[each] for each in needs]
        it = rows.Begun(run, name, rows.identifier(), needs, rows.digest(name), now)
        made[name] = rows.success(it, upstream, 1, now)
    every = list(made.values())
    batches = [every[at : at + COPY_COMMIT] for at in range(0, len(every), COPY_COMMIT)]
    texts = [_texts(batch, run) for batch in batches]
    start = filled(START, run)
    claims = "".join(f"{name}\t{run}\t1\n" for name in sorted(graph))
    finish = filled(FINISH + "COMMIT", run, count=len(every))
    with psycopg.connect(url, autocommit=True) as conn, conn.cursor() as cursor:
        begun = time.perf_counter()
        cursor.execute(start)
        _copy(cursor, rows.COPY_CLAIMS, claims)
        for row_text, edge_text, stand in texts:
            cursor.execute(b"COMMIT; " + filled(HOLD, run))
            _copy(cursor, rows.COPY_ROWS, row_text)
            _copy(cursor, rows.COPY_EDGES, edge_text)
            cursor.execute(stand)
        cursor.execute(finish)
        return time.perf_counter() - begun


def _texts(batch: Sequence[rows.Made], run: str) -> tuple[str, str, bytes]:
    """Rows and edges for COPY, and the statement that lets the rows be current."""
    names, ids = rows.arrays((made.name, made.id) for made in sorted(batch, key=_name))
    stand = filled(STAND_CLAIMED, run, names=names, ids=ids)
    return "".join(made.row for made in batch), "".join(map(_edges, batch)), stand


def _edges(made: rows.Made) -> str:
    columns = [column.split(",") for column in made.edges or ()]
    return "".join("\t".join(edge) + "\n" for edge in zip(*columns, strict=True))


def _name(made: rows.Made) -> str:
    return made.name


def _copy(cursor: psycopg.Cursor[Any], statement: str, text: str) -> None:
    with cursor.copy(statement.encode()) as copy:
        copy.write(text)


def read(url: str, graph: Graph) -> float:
    """The seconds of reading the current rows of a graph, in one query."""
    with psycopg.connect(url, autocommit=True) as conn:
        begun = time.perf_counter()
        found = conn.execute(_READ, [list(graph)]).fetchall()
        took = time.perf_counter() - begun
    if len(found) != len(graph):
        raise SystemExit(f"{len(found)} of {len(graph)} rows are there to be read")
    return took


def built(graph: Graph) -> float:
    """The seconds of building and sorting a graph with rustworkx alone."""
    begun = time.perf_counter()
    made: rx.PyDiGraph[str, None] = rx.PyDiGraph()
    index = dict(zip(graph, made.add_nodes_from(list(graph)), strict=True))
    made.add_edges_from(
        [(index[each], index[name], None) for name in graph for each in graph[name]]
    )
    rx.topological_sort(made)
    return time.perf_counter() - begun


def _ignore(*_: Any) -> None:
    pass
