"""What a comparison found: for the terminal, as JSON, and as the table of the docs."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.peers.trial import AGAIN, FAILED, HISTORY, RIGHT, STALE, TOO_MUCH, UNNOTICED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers.peers import Peer
    from benchmarks.peers.project import Edit
    from benchmarks.peers.trial import Oracle, Outcome

_BEGIN, _END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
_VERDICTS = (RIGHT, TOO_MUCH, UNNOTICED, STALE, FAILED)


@dataclass(frozen=True)
class Comparison:
    """Peers with their versions, edits with what was right, and what each peer did with each."""

    peers: Sequence[Peer]
    versions: Mapping[str, str]
    edits: Sequence[Edit]
    oracles: Mapping[str, Oracle]
    outcomes: Mapping[tuple[str, str], Outcome]

    def of(self, peer: Peer, edit: Edit) -> Outcome:
        """What this peer did with this edit."""
        return self.outcomes[peer.name, edit.name]

    def failed(self) -> list[str]:
        """A line for each trial that came to no verdict."""
        return [
            f"{peer.name}, {edit.name}: {outcome.error}"
            for peer in self.peers
            for edit in self.edits
            if (outcome := self.of(peer, edit)).verdict == FAILED
        ]


def to_json(found: Comparison) -> dict[str, Any]:
    """Everything that was found, as JSON takes it."""
    return {
        "python": platform.python_version(),
        "peers": {
            peer.name: {
                "title": peer.title,
                "version": found.versions[peer.name],
                "uses": peer.uses,
            }
            for peer in found.peers
        },
        "edits": {
            edit.name: {
                "title": edit.title,
                "must_run": sorted(found.oracles[edit.name].must_run),
                "may_run": sorted(edit.may_run),
                "outcomes": {peer.name: asdict(found.of(peer, edit)) for peer in found.peers},
            }
            for edit in found.edits
        },
    }


def to_text(found: Comparison) -> str:
    """The table for a terminal."""
    rows = [["edit", *(peer.name for peer in found.peers)], *_rows(found, lambda e: e.name)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def to_markdown(found: Comparison) -> str:
    """Versions, features used, and the table, for the docs."""
    used = [f"- **{peer.title}** {found.versions[peer.name]}: {peer.uses}" for peer in found.peers]
    head = ["edit", *(peer.title for peer in found.peers)]
    rows = [head, ["---"] * len(head), *_rows(found, lambda edit: edit.title)]
    table = [f"| {' | '.join(row)} |" for row in rows]
    made = f"Made with Python {platform.python_version()}."
    return "\n".join([made, "", *used, "", *table])


def around_table(page: Path) -> tuple[str, str]:
    """What stands before and after the table of a page, its marks included.

    Raises:
        ValueError: if the page lacks a mark.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        msg = f"{page.name} lacks {_END if begin else _BEGIN}"
        raise ValueError(msg)
    return before + begin, end + after


def replace_table(page: Path, found: Comparison) -> None:
    """Write the table between the page's two marks, and touch nothing else in it.

    Raises:
        ValueError: if the page lacks a mark.
    """
    before, after = around_table(page)
    page.write_text(f"{before}\n\n{to_markdown(found)}\n\n{after}", encoding="utf-8")


def _rows(found: Comparison, label: Any) -> list[list[str]]:
    rows = [
        [label(edit), *(_cell(found.of(peer, edit)) for peer in found.peers)]
        for edit in found.edits
    ]
    for verdict in _VERDICTS:
        counts = [
            sum(found.of(peer, edit).verdict == verdict for edit in found.edits)
            for peer in found.peers
        ]
        if any(counts):
            rows.append([f"total: {verdict}", *map(str, counts)])
    return [*rows, ["reverts from history", *(_reverts(found, peer) for peer in found.peers)]]


def _cell(outcome: Outcome) -> str:
    notes = {HISTORY: ", history", AGAIN: ", again", STALE: ", stale on revert"}
    return outcome.verdict + notes.get(outcome.revert, "")


def _reverts(found: Comparison, peer: Peer) -> str:
    reverts = Counter(found.of(peer, edit).revert for edit in found.edits)
    return f"{reverts[HISTORY]} of {reverts[HISTORY] + reverts[AGAIN] + reverts[STALE]}"
