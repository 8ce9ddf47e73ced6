"""Pictures of a graph."""

from __future__ import annotations

from flowstone import Asset, AssetGraph
from flowstone.core.render import dot, mermaid, tree

GRAPH = AssetGraph(
    [
        Asset(name="c", depends_on=["a", "b"], group='say "hi" & <bye>'),
        Asset(name="a", group="raw"),
        Asset(name="b", group="raw"),
    ]
)


def test_mermaid() -> None:
    assert mermaid(GRAPH) == (
        "flowchart LR\n"
        '  subgraph g1["raw"]\n'
        '    n0["a"]\n'
        '    n1["b"]\n'
        "  end\n"
        '  subgraph g5["say &quot;hi&quot; &amp; &lt;bye&gt;"]\n'
        '    n2["c"]\n'
        "  end\n"
        "  n0 --> n2\n"
        "  n1 --> n2\n"
    )


def test_dot() -> None:
    assert dot(GRAPH) == (
        "digraph flowstone {\n"
        "  rankdir=LR;\n"
        "  node [shape=box, style=rounded];\n"
        '  subgraph "cluster_raw" {\n'
        '    label="raw";\n'
        '    "a";\n'
        '    "b";\n'
        "  }\n"
        '  subgraph "cluster_say \\"hi\\" & <bye>" {\n'
        '    label="say \\"hi\\" & <bye>";\n'
        '    "c";\n'
        "  }\n"
        '  "a" -> "c";\n'
        '  "b" -> "c";\n'
        "}\n"
    )


def test_tree() -> None:
    assert tree(GRAPH) == "a\nb\nc  <- a, b\n"


def test_a_part_of_the_graph_has_its_own_edges_only() -> None:
    assert mermaid(GRAPH, ["b", "c"]).count("-->") == 1
    assert dot(GRAPH, ["b", "c"]).count("->") == 1
    assert '"a"' not in dot(GRAPH, ["b", "c"])


def test_an_empty_graph_is_drawn() -> None:
    empty = AssetGraph([])
    assert mermaid(empty) == "flowchart LR\n"
    assert dot(empty).startswith("digraph")
    assert tree(empty) == ""


def test_line_breaks_stay_inside_their_label() -> None:
    graph = AssetGraph([Asset(name="a", group="two\nlines\\")])
    assert len(mermaid(graph).splitlines()) == 4
    assert len(dot(graph).splitlines()) == 8
