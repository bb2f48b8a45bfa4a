"""The graph of a tiny repository, asked the way a user asks it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import codeintel
from codeintel.errors import PlanError, StoreError, UsageError

FIVE = ("expr_context", "operator", "unaryop", "boolop", "cmpop")


def rows(snapshot: codeintel.Snapshot, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in snapshot.sql(query).to_arrow_table().to_pylist()]


def test_every_file_is_listed_and_a_broken_one_has_an_error_with_its_place(snapshot: codeintel.Snapshot) -> None:
    assert rows(snapshot, "SELECT path, module, status, encoding FROM files ORDER BY path") == [
        ("broken.py", "broken", "failed", "utf-8"),
        ("latin.py", "latin", "ok", "iso-8859-1"),
        ("shop/__init__.py", "shop", "ok", "utf-8"),
        ("shop/cart.py", "shop.cart", "ok", "utf-8"),
        ("shop/prices.py", "shop.prices", "ok", "utf-8"),
        ("tools/run.py", "tools.run", "ok", "utf-8"),
        ("tools/shop.py", "tools.shop", "ok", "utf-8"),
    ]
    assert rows(snapshot, "SELECT path, stage, error, line FROM extract_errors") == [
        ("broken.py", "parse", "SyntaxError", 1)
    ]


def test_ast_nodes_and_edges_count_what_ast_walk_yields(snapshot: codeintel.Snapshot, shop: Path) -> None:
    kinds = tuple(getattr(ast, name) for name in FIVE)
    for path in ("shop/cart.py", "shop/prices.py", "latin.py"):
        walked = sum(not isinstance(n, kinds) for n in ast.walk(ast.parse((shop / path).read_bytes())))
        here = f"FROM cpg_nodes WHERE path = '{path}' AND kind NOT IN ('Binding', 'Field', 'Entry', 'Exit')"
        nodes = rows(snapshot, f"SELECT count(*) {here}")
        edges = rows(snapshot, f"SELECT count(*) FROM cpg_edges WHERE path = '{path}' AND kind = 'AST'")
        assert (nodes, edges) == ([(walked,)], [(walked - 1,)])


def test_the_text_of_a_node_is_exactly_its_bytes(snapshot: codeintel.Snapshot) -> None:
    found = rows(snapshot, "SELECT node_id FROM cpg_nodes WHERE path = 'latin.py' AND kind = 'Constant'")
    assert snapshot.source(found[0][0]) == "'été'"
    (call,) = rows(snapshot, "SELECT node_id FROM cpg_nodes WHERE kind = 'Call' AND path = 'shop/prices.py'")
    assert snapshot.source(call[0]) == "PRICES.get(good, 0)"
    with pytest.raises(UsageError, match="no node 12345"):
        snapshot.source(12345)


def test_a_name_leads_to_its_binding_and_that_to_what_binds_it(snapshot: codeintel.Snapshot) -> None:
    found = rows(
        snapshot,
        """
        SELECT DISTINCT n.name, definition.kind, definition.line
        FROM cpg_nodes AS n
        JOIN cpg_edges AS ref ON ref.src = n.node_id AND ref.kind = 'REF'
        JOIN cpg_edges AS binds ON binds.dst = ref.dst AND binds.kind = 'BINDS'
        JOIN cpg_nodes AS definition ON definition.node_id = binds.src
        WHERE n.path = 'shop/prices.py' ORDER BY 1, 3
    """,
    )
    assert found == [
        ("PRICES", "Name", 1),
        ("default", "arg", 4),
        ("good", "arg", 4),
        ("good", "arg", 10),
    ]


def test_builtins_and_outside_modules_are_external_nodes(snapshot: codeintel.Snapshot) -> None:
    found = rows(snapshot, "SELECT name FROM cpg_nodes WHERE kind = 'External' ORDER BY name")
    assert [name for (name,) in found] == [
        "builtins.dict", "builtins.dict.get", "builtins.float", "builtins.int", "builtins.list", "builtins.print",
        "builtins.property", "builtins.str", "builtins.tuple", "math", "math.fsum", "os.path", "os.path.join",
    ]  # fmt: skip
    assert rows(snapshot, "SELECT DISTINCT path, label FROM cpg_nodes WHERE kind = 'External'") == [
        ("<external>", "DEPENDENCY")
    ]


def test_imports_lead_to_modules_of_the_repository_and_to_external_ones(snapshot: codeintel.Snapshot) -> None:
    found = rows(
        snapshot,
        """
        SELECT e.path, target.kind, target.qualname, e.label
        FROM cpg_edges AS e JOIN cpg_nodes AS target ON target.node_id = e.dst
        WHERE e.kind = 'IMPORTS' ORDER BY 1, 3
    """,
    )
    assert found == [
        ("shop/__init__.py", "Module", "shop.cart", "Cart"),
        ("shop/cart.py", "External", "math", ""),
        ("shop/cart.py", "External", "os.path", ""),
        ("shop/cart.py", "Module", "shop.prices", "price_of"),
        ("tools/run.py", "Module", "shop", ""),
    ]


def test_of_modules_of_one_name_an_import_leads_to_the_nearest_and_else_to_one_beside_it(
    make_repository: Callable[[Mapping[str, str]], Path],
) -> None:
    root = make_repository({
        **{f"{program}/{name}": text for program in ("one", "two") for name, text in (
            ("setup.py", ""), ("util.py", "def f():\n    pass\n"), ("main.py", "import util\nutil.f()\n"))},
        "tools/__init__.py": "", "tools/x/__init__.py": "", "tools/x/helper.py": "def g():\n    pass\n",
        "tools/x/run.py": "from helper import g\ng()\n",
    })  # fmt: skip
    codeintel.build(root, jobs=1)
    found = rows(
        codeintel.open(root / ".codeintel"),
        "SELECT e.path, target.path AS target FROM cpg_edges AS e JOIN cpg_nodes AS target ON target.node_id = e.dst "
        "WHERE e.kind = 'IMPORTS' OR (e.kind = 'CALL' AND target.kind = 'FunctionDef') ORDER BY 1, 2",
    )
    led = {
        "one/main.py": "one/util.py", "two/main.py": "two/util.py", "tools/x/run.py": "tools/x/helper.py",
    }  # fmt: skip
    assert found == [(path, led[path]) for path in sorted(led) for _ in range(2)]


def test_calls_have_arguments_and_receivers(snapshot: codeintel.Snapshot) -> None:
    found = rows(
        snapshot,
        """
        SELECT e.kind AS edge, e.ordinal, n.kind, n.name
        FROM cpg_edges AS e JOIN cpg_nodes AS n ON n.node_id = e.dst
        WHERE e.path = 'shop/prices.py' AND e.kind IN ('ARGUMENT', 'RECEIVER') ORDER BY 1, 2
    """,
    )
    assert found == [
        ("ARGUMENT", 0, "Name", "good"),
        ("ARGUMENT", 1, "Constant", None),
        ("RECEIVER", 0, "Name", "PRICES"),
    ]


def test_the_same_name_defined_twice_has_two_nodes(snapshot: codeintel.Snapshot) -> None:
    found = rows(
        snapshot,
        """
        SELECT qualname, count(DISTINCT node_id) FROM cpg_nodes
        WHERE kind = 'FunctionDef' AND qualname IN ('shop.prices.price_of', 'shop.cart.Cart.name') GROUP BY 1 ORDER BY 1
    """,
    )
    assert found == [("shop.cart.Cart.name", 2), ("shop.prices.price_of", 2)]


def test_every_node_is_labelled_and_operators_are_columns(snapshot: codeintel.Snapshot) -> None:
    assert rows(
        snapshot, "SELECT DISTINCT name, label FROM cpg_nodes WHERE kind IN ('BinOp', 'Compare') ORDER BY 1"
    ) == [
        ("<operator>.addition", "CALL"),
        ("<operator>.in", "CALL"),
        ("<operator>.multiplication", "CALL"),
    ]
    assert rows(snapshot, "SELECT count(*) FROM cpg_nodes WHERE label = 'UNKNOWN' AND kind = 'Call'") == [(0,)]


def test_facts_that_are_not_public_can_be_asked_too(snapshot: codeintel.Snapshot) -> None:
    assert rows(
        snapshot, "SELECT name, is_parameter FROM symbols WHERE path = 'shop/prices.py' AND name = 'default'"
    ) == [("default", True)]
    assert snapshot.table("exports", ["name", "is_complete"]).to_pylist() == [{"name": "Cart", "is_complete": True}]


def test_a_table_can_be_read_with_columns_and_a_condition(snapshot: codeintel.Snapshot) -> None:
    found = snapshot.table("files", ["path"], where="status = 'failed'")
    assert found.to_pylist() == [{"path": "broken.py"}]
    with pytest.raises(UsageError, match="did you mean cpg_nodes"):
        snapshot.table("cpg_node")
    with pytest.raises(UsageError, match="did you mean path"):
        snapshot.table("files", ["pth"])


def test_sql_is_read_only_and_its_errors_name_the_nearest(snapshot: codeintel.Snapshot) -> None:
    with pytest.raises(PlanError, match="cpg_nodes"):
        snapshot.sql("SELECT * FROM cpg_node")
    with pytest.raises(PlanError, match="path"):
        snapshot.sql("SELECT pth FROM files")
    for statement in (
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE files",
        "COPY (SELECT 1) TO '/tmp/stolen.csv'",
        "SET x = 1",
    ):
        with pytest.raises(PlanError):
            snapshot.sql(statement)


def test_plan_artifacts_of_the_run_can_be_asked(snapshot: codeintel.Snapshot) -> None:
    found = snapshot.sql(
        "SELECT input FROM plan_edges WHERE task = 'files' ORDER BY input", artifacts=True
    ).to_arrow_table()
    assert found.to_pylist() == [{"input": "parsed_files"}, {"input": "repo_files"}]
    outcomes = snapshot.sql("SELECT DISTINCT outcome FROM task_runs", artifacts=True).to_arrow_table()
    assert outcomes.to_pylist() == [{"outcome": "ran"}]


def test_there_is_no_snapshot_of_what_was_never_built(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="codeintel build"):
        codeintel.open(tmp_path)
