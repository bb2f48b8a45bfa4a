"""A view's signature changes with what it computes, and with nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from codeintel.datafusion_engine import plan_cache, references
from codeintel.datafusion_engine.inference import PlanCache, infer
from codeintel.errors import PlanError
from codeintel.relspec.pipeline import ScalarFunction
from codeintel.relspec.plan_diff import changed_parts
from tests.datafusion_engine.tables import SHOUT, TABLES, blocks, shouted

QUERIES = blocks("queries.sql", "query")


def signature(
    sql: str, tables: dict[str, pa.Schema] = TABLES, functions: dict[str, ScalarFunction] | None = None
) -> str:
    return infer({"v": sql}, tables, functions=functions).tasks[0].signature


def test_no_two_queries_share_a_signature() -> None:
    assert len({signature(sql, functions={"shout": SHOUT}) for sql in QUERIES.values()}) == len(QUERIES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT * FROM (VALUES (1),(2),(3),(4),(5),(6)) v", "SELECT * FROM (VALUES (1),(2),(3),(4),(5),(7)) v"),
        ("SELECT value FROM generate_series(1, 3)", "SELECT value FROM generate_series(1, 4)"),
        ("SELECT a.path FROM a JOIN b ON a.x = b.x", "SELECT a.path FROM a JOIN b ON a.x IS NOT DISTINCT FROM b.x"),
        ("SELECT path FROM a GROUP BY GROUPING SETS ((path), ())",
         "SELECT path FROM a GROUP BY GROUPING SETS ((path))"),
        ("SELECT path FROM a WHERE x NOT IN (SELECT x FROM b)",
         "SELECT path FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.x = a.x)"),
        ("SELECT path FROM a WHERE id > (SELECT max(id) FROM b WHERE x = 'p')",
         "SELECT path FROM a WHERE id > (SELECT max(id) FROM b WHERE x = 'q')"),
        ("SELECT path, CASE WHEN id IN (SELECT id FROM g WHERE n = 'p') THEN 1 END AS h FROM a",
         "SELECT path, CASE WHEN id IN (SELECT id FROM g WHERE n = 'q') THEN 1 END AS h FROM a"),
        ("SELECT first_value(x) OVER (ORDER BY id) AS f FROM a",
         "SELECT first_value(x) IGNORE NULLS OVER (ORDER BY id) AS f FROM a"),
        ("SELECT path FROM a UNION SELECT path FROM b", "SELECT path FROM a UNION ALL SELECT path FROM b"),
        ("SELECT path FROM a ORDER BY id LIMIT 2", "SELECT path FROM a ORDER BY id LIMIT 3"),
        ("SELECT path FROM a WHERE x = ' '", "SELECT path FROM a WHERE x = '  '"),
        ("SELECT path FROM a WHERE x = '--p'", "SELECT path FROM a WHERE x = '--q'"),
        ("SELECT id AS n FROM a", "SELECT id AS m FROM a"),
        ("SELECT k, unnest(tags) AS t FROM nums", "SELECT k, unnest(array_reverse(tags)) AS t FROM nums"),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
         "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 6) SELECT n FROM r"),
    ],
)  # fmt: skip
def test_queries_of_different_meaning_differ(one: str, other: str) -> None:
    assert signature(one) != signature(other)


@pytest.mark.parametrize("title", ["everything at once", "table function", "EXISTS in CASE", "custom function"])
def test_comments_and_white_space_do_not_count(title: str) -> None:
    sql = QUERIES[title]
    edited = "-- owner: me\n" + sql.replace(" FROM ", "\n\t FROM /* here */ -- there\n  ") + "\n-- done\n"
    assert signature(edited, functions={"shout": SHOUT}) == signature(sql, functions={"shout": SHOUT})


def test_a_column_the_view_does_not_need_does_not_count() -> None:
    sql = "SELECT l.path FROM a l WHERE EXISTS (SELECT * FROM g WHERE g.id = l.id)"
    wider = {**TABLES, "g": TABLES["g"].append(pa.field("extra", pa.string()))}
    assert signature(sql, wider) == signature(sql)


def test_the_type_of_a_column_it_needs_counts() -> None:
    sql = "SELECT id FROM g"
    narrower = {**TABLES, "g": TABLES["g"].set(0, pa.field("id", pa.int32()))}
    before, after = infer({"v": sql}, TABLES).tasks[0], infer({"v": sql}, narrower).tasks[0]
    assert before.signature != after.signature
    assert before.parts["schema"] != after.parts["schema"]


def whispered(words: pa.Array) -> pa.Array:
    return words


def test_the_body_of_a_function_counts_for_the_views_that_call_it() -> None:
    one = ScalarFunction(shouted, (pa.string(),), pa.string())
    other = ScalarFunction(whispered, (pa.string(),), pa.string())
    for sql, same in (("SELECT shout(x) AS y FROM a", False), ("SELECT x AS shout FROM a", True)):
        assert (signature(sql, functions={"shout": one}) == signature(sql, functions={"shout": other})) == same


def test_a_changed_function_is_the_part_that_changed(tmp_path: Path) -> None:
    views = {"v": "SELECT shout(x) AS y FROM a", "w": "SELECT x FROM a"}
    cache, tasks = tmp_path / "plans.json", []
    for function, hits in ((shouted, 0), (whispered, 1)):
        opened = PlanCache(cache)
        shout = ScalarFunction(function, (pa.string(),), pa.string())
        tasks.append(infer(views, TABLES, functions={"shout": shout}, cache=opened).tasks)
        assert opened.hits == hits
    assert [changed_parts(*pair) for pair in zip(*tasks, strict=True)] == [("function shout",), ()]


PRINT_SIGNATURES = """
import json
from codeintel.datafusion_engine.inference import infer
from tests.datafusion_engine.tables import SHOUT, TABLES, blocks
queries = {f"v{i}": sql for i, sql in enumerate(blocks("queries.sql", "query").values())}
print(json.dumps([[t.name, t.signature, t.parts] for t in infer(queries, TABLES, functions={"shout": SHOUT}).tasks]))
"""


def test_signatures_are_the_same_in_every_process_directory_and_hash_seed(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])

    def printed(seed: str, where: Path) -> list[object]:
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": root, "TMPDIR": str(where), "HOME": str(where)}
        done = subprocess.run(
            [sys.executable, "-c", PRINT_SIGNATURES], env=environment, cwd=where, capture_output=True, check=True
        )
        return json.loads(done.stdout)

    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    assert printed("1", tmp_path) == printed("2", elsewhere)


WARM_PLAN = """
import sys
from pathlib import Path
from codeintel.datafusion_engine.inference import PlanCache, infer
import pyarrow as pa, json
views = json.loads(sys.argv[2])
a = pa.schema([("path", pa.string()), ("bucket", pa.int32()), ("id", pa.int64()), ("x", pa.string())])
cache = PlanCache(Path(sys.argv[1]))
infer(views, {"a": a}, cache=cache)
print(cache.hits, cache.misses, [m for m in ("datafusion", "sqlglot") if m in sys.modules])
"""
CHAIN = {f"v{i}": f"SELECT path, bucket, id + {i} AS id FROM {'a' if i == 0 else f'v{i - 1}'}" for i in range(5)}


def test_a_warm_plan_equals_a_cold_one_and_imports_no_engine(tmp_path: Path) -> None:
    cache = tmp_path / "plans.json"
    cold = infer(CHAIN, TABLES, cache=PlanCache(cache))
    warm_cache = PlanCache(cache)
    warm = infer(CHAIN, TABLES, cache=warm_cache)
    assert (warm_cache.hits, warm_cache.misses) == (5, 0)
    assert (warm.tasks, dict(warm.schemas), warm.partitioned) == (cold.tasks, dict(cold.schemas), cold.partitioned)
    imported = subprocess.run(
        [sys.executable, "-c", WARM_PLAN, str(cache), json.dumps(CHAIN)], capture_output=True, text=True, check=True
    )
    assert imported.stdout == "5 0 []\n"


PLAN_THE_GRAPH = """
import sys
from pathlib import Path
from codeintel.cpg.pipeline import PIPELINE
from codeintel.datafusion_engine.plan_cache import PlanCache
from codeintel.hamilton_pipeline.pipeline_plan import plan_pipeline
from codeintel.relspec.execution_plan import compile_execution_plan
from codeintel.settings import Settings
planned = plan_pipeline(PIPELINE, Settings().parameters() | {"repository": Path()}, cache=PlanCache(Path(sys.argv[1])))
plan = compile_execution_plan(planned.tasks)
print(plan.signature, sorted({"datafusion", "hamilton", "pandas", "sqlglot"} & sys.modules.keys()))
"""


def test_planning_the_graph_again_imports_neither_engine_nor_parser_nor_hamilton(tmp_path: Path) -> None:
    cold, warm = (
        subprocess.run(
            [sys.executable, "-c", PLAN_THE_GRAPH, str(tmp_path / "plans.json")],
            capture_output=True, text=True, check=True,
        ).stdout.split(maxsplit=1)
        for _ in range(2)
    )  # fmt: skip
    assert "datafusion" in cold[1]
    assert warm == [cold[0], "[]\n"]


def test_a_changed_view_misses_alone_unless_its_schema_changes(tmp_path: Path) -> None:
    cache = tmp_path / "plans.json"
    infer(CHAIN, TABLES, cache=PlanCache(cache))
    for edited, misses in (("id * 7 AS id", 1), ("CAST(id AS double) AS id", 3)):
        opened = PlanCache(cache)
        views = {**CHAIN, "v2": f"SELECT path, bucket, {edited} FROM v1"}
        assert infer(views, TABLES, cache=opened).tasks == infer(views, TABLES).tasks
        assert opened.hits == 5 - misses


def test_an_error_is_found_again_although_the_view_below_is_cached(tmp_path: Path) -> None:
    cache = tmp_path / "plans.json"
    infer(CHAIN, TABLES, cache=PlanCache(cache))
    for _ in range(2):
        with pytest.raises(PlanError, match="names unknown column 'idd'"):
            infer({**CHAIN, "v4": "SELECT idd FROM v3"}, TABLES, cache=PlanCache(cache))
        with pytest.raises(PlanError, match="reads unknown table 'v3'"):
            infer({n: sql for n, sql in CHAIN.items() if n != "v3"}, TABLES, cache=PlanCache(cache))


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"built_by": 3}', b"\xff\xfe"])
def test_a_damaged_cache_is_a_cold_one(tmp_path: Path, damage: bytes) -> None:
    cache = tmp_path / "plans.json"
    infer(CHAIN, TABLES, cache=PlanCache(cache))
    cache.write_bytes(damage)
    opened = PlanCache(cache)
    assert infer(CHAIN, TABLES, cache=opened).tasks == infer(CHAIN, TABLES).tasks
    assert opened.hits == 0


def test_a_cache_of_other_code_or_versions_is_a_cold_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "plans.json"
    infer(CHAIN, TABLES, cache=PlanCache(cache))
    monkeypatch.setattr(plan_cache, "built_by", lambda: "another")
    opened = PlanCache(cache)
    infer(CHAIN, TABLES, cache=opened)
    assert opened.hits == 0


def test_tasks_come_after_what_they_read() -> None:
    shuffled = dict(sorted(CHAIN.items(), key=lambda item: item[0][::-1], reverse=True))
    assert [task.name for task in infer(shuffled, TABLES).tasks] == ["v0", "v1", "v2", "v3", "v4"]


def test_an_unparsed_view_sees_a_table_that_came_after_it_was_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_DIALECTS", ())
    cache, sql = tmp_path / "plans.json", "SELECT q.id AS g FROM a q"
    assert infer({"v": sql}, {"a": TABLES["a"]}, cache=PlanCache(cache)).tasks[0].inputs == {"a": "whole"}
    assert infer({"v": sql}, {"a": TABLES["a"]}, cache=PlanCache(cache)).tasks[0].inputs == {"a": "whole"}
    assert PlanCache(cache).named(sql) is not None
    renamed = {"v": sql.replace("a q", "g q"), "w": sql}
    assert [dict(t.inputs) for t in infer(renamed, TABLES, cache=PlanCache(cache)).tasks] == [
        {"g": "whole"},
        {"a": "whole"},
    ]
