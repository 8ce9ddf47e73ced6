"""A terminal that shows what is running below the lines of what has ended."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from flowstone.telling.tables import ENDINGS
from flowstone.telling.words import counted, duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.cli.progress import Line

_STYLES = {
    "materialized": "green",
    "reused": "bright_black",
    "failed": "bold red",
    "skipped": "yellow",
    "cancelled": "yellow",
    "verified": "green",
    "differs": "bold red",
}
_SHOWN = 4
_PER_SECOND = 8


class LiveScreen:
    """A ``flowstone.cli.progress.Screen`` on a terminal, for the time of the block.

    Logs, and what assets print to a terminal, appear above the status line.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._spinner = Spinner("dots", style="cyan")
        self._since: Mapping[str, float] = {}
        self._done = self._steps = 0
        self._live = Live(
            get_renderable=self._status,
            console=self._console,
            refresh_per_second=_PER_SECOND,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def line(self, line: Line) -> None:
        """Show it above the status line, its mark coloured."""
        if line.ending is None:
            label, colon, rest = line.name.partition("error: ")
            text = Text(label).append(colon, "bold red").append(rest)
        else:
            text = (
                Text().append(ENDINGS[line.ending], _STYLES[line.ending]).append(f" {line.name}  ")
            )
            text.append(f"{line.time:>7}  ", "bright_black").append(line.rest)
        text.rstrip()
        self._console.print(text, soft_wrap=True)

    def running(self, since: Mapping[str, float], done: int, steps: int) -> None:
        """Take note for the next time the status line is drawn."""
        self._since, self._done, self._steps = since, done, steps

    def _status(self) -> Spinner:
        self._spinner.text = Text(self._text(), no_wrap=True, overflow="ellipsis")
        return self._spinner

    def _text(self) -> str:
        if not self._steps:
            return "planning"
        now = time.monotonic()
        oldest = sorted(self._since.items(), key=lambda item: item[1])
        told = [f"{name} {duration((now - at) * 1000)}" for name, at in oldest[:_SHOWN]]
        if len(oldest) > _SHOWN:
            told.append(counted(len(oldest) - _SHOWN, "other"))
        return f"{self._done} of {self._steps}  {', '.join(told)}"
