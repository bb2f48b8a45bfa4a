"""What is not a view is refused at plan time, with the thing, the place and what would have been right."""

from __future__ import annotations

import pyarrow as pa
import pytest
from datafusion import DataFrame, SessionConfig, SessionContext

from codeintel.datafusion_engine import sql_text
from codeintel.datafusion_engine.inference import infer
from codeintel.datafusion_engine.session import execute, new_session, read_only, register_arrow
from codeintel.errors import PlanError, RunError
from tests.datafusion_engine.tables import SHOUT, TABLES


def refusal(sql: str) -> str:
    with pytest.raises(PlanError) as caught:
        infer({"v": sql}, TABLES, origins={"v": "views/v.sql"})
    assert caught.value.subject == "v"
    return str(caught.value)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT path FROM aa", "view 'v' (views/v.sql:1): reads unknown table 'aa'; did you mean a?"),
        ("SELECT path\nFROM num", "view 'v' (views/v.sql:2): reads unknown table 'num'; did you mean nums?"),
        ("SELECT path FROM mixed", "reads unknown table 'mixed'; it is written \"Mixed\", in quotes"),
        ("SELECT\n paht FROM a", "view 'v' (views/v.sql:2): names unknown column 'paht'; did you mean path?"),
        ("SELECT a.bukcet FROM a", "names unknown column 'bukcet' of 'a'; did you mean bucket?"),
        ('SELECT Key FROM "Mixed" WHERE val.ue > 1', "names unknown column 'ue' of 'val'"),
        ('SELECT col FROM (SELECT "Col A" AS Col FROM "Mixed") WHERE Kex = 1', "names unknown column 'kex'"),
        ("SELECT path FROM a, b", "Ambiguous reference to unqualified field path"),
        ("SELECT a.path, b.path FROM a JOIN b USING (id)", "has more than one column 'path'; give each its own name"),
        ("SELECT path FROM 'x.parquet'", "reads unknown table 'x.parquet'"),
        ("SELECT table_name FROM information_schema.tables", "reads unknown table"),
        ("SELECT path FROM a TABLESAMPLE (10)", "TABLESAMPLE"),
        ("SELECT $1 FROM a", "has the parameter $1"),
        ("FROM a", "has no columns"),
        ("SELEC path FROM a", "(views/v.sql:1): Expected: an SQL statement, found: SELEC"),
        ("SELECT 1 +\n +* 2 AS x", "(views/v.sql:2): Expected: an expression, found: *"),
        ("", "No SQL statements"),
        ("SELECT path FROM a; SELECT path FROM b", "single SQL statement"),
        ("CREATE TABLE t AS SELECT * FROM a", "DDL not supported"),
        ("DROP TABLE a", "DDL not supported"),
        ("INSERT INTO a SELECT * FROM b", "DML not supported"),
        ("COPY a TO 'x.csv'", "DML not supported"),
        ("SET a = 1", "Statement not supported"),
        ("EXPLAIN SELECT path FROM a", "is Explain, not a query"),
        ("DESCRIBE a", "is DescribeTable, not a query"),
        ("SELECT shoot(x) FROM a", "Invalid function 'shoot'"),
        ("SELECT id + x + true AS y FROM a", "Cannot"),
        ("SELECT CAST('p' AS int) AS y FROM a", "Cannot cast string 'p'"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_view_the_place_and_the_reason(sql: str, said: str) -> None:
    message = refusal(sql)
    assert said in message
    assert "views/v.sql" in message
    assert "backtrace" not in message


@pytest.mark.parametrize(
    "expression",
    ["now()", "NOW ()", "random()", "uuid()", "current_date", "current_timestamp", "today()", '"now"()', "rand()"],
)
def test_volatile_functions_are_refused_wherever_they_stand(expression: str) -> None:
    name = expression.strip('"').lower().split("(")[0].strip(' "')
    for sql in (
        f"SELECT path,\n {expression} AS t FROM a",
        f"SELECT path FROM a WHERE x = (\nSELECT max(CAST({expression} AS varchar)) FROM b)",
        f"WITH t AS (SELECT\n {expression} AS t) SELECT path FROM a, t",
    ):
        assert f"(views/v.sql:2) calls {name}(), whose value changes from run to run" in refusal(sql)


def test_columns_and_literals_may_be_called_like_volatile_functions() -> None:
    sql = "SELECT 'now()' AS now, a.id AS current_date, 1 AS random -- uuid()\nFROM a"
    assert infer({"v": sql}, TABLES).tasks[0].inputs == {"a": "whole"}


def test_the_list_of_volatile_functions_is_the_engines_own() -> None:
    context = SessionContext(SessionConfig().with_information_schema(True))
    query = (
        "SELECT routine_name FROM information_schema.routines WHERE NOT is_deterministic AND function_type <> 'TABLE'"
    )
    found = set(context.sql(query).to_pydict()["routine_name"])
    assert found <= sql_text.VOLATILE
    assert sql_text.VOLATILE - found == {"localtime", "localtimestamp"}  # standard names the engine may get one day


@pytest.mark.parametrize("name", ["lower", "sum", "lag"])
def test_a_function_may_not_take_the_engines_name(name: str) -> None:
    with pytest.raises(PlanError, match=f"function '{name}' has the name of one of the engine's; rename it"):
        infer({"v": f"SELECT {name}(x) AS y FROM a"}, TABLES, functions={name: SHOUT})


@pytest.mark.parametrize("name", ["Shout", "a b", ""])
def test_a_function_has_a_name_that_queries_can_call(name: str) -> None:
    with pytest.raises(PlanError, match=f"function '{name}' cannot be called in SQL"):
        infer({"v": "SELECT x FROM a"}, TABLES, functions={name: SHOUT})


def test_a_cycle_is_named() -> None:
    views = {
        "one": "SELECT id FROM two",
        "two": "SELECT id FROM three",
        "three": "SELECT id FROM one UNION ALL SELECT id FROM a",
        "free": "SELECT id FROM a",
    }
    with pytest.raises(PlanError, match="views read each other in a cycle: one → two → three → one"):
        infer(views, TABLES)


def test_a_view_that_reads_itself_is_a_cycle() -> None:
    with pytest.raises(PlanError, match="in a cycle: v → v"):
        infer({"v": "SELECT id FROM v"}, TABLES)


def test_a_view_may_not_take_a_tables_name() -> None:
    with pytest.raises(PlanError, match=r"view 'a' .* has the name of a table"):
        infer({"a": "SELECT 1 AS x"}, TABLES)


def test_front_matter_is_read_up_to_the_first_statement() -> None:
    sql = "-- grain: one row per call: each\n\n-- just a comment\n-- Key: path, bstart\n"
    sql += "-- mode: a=whole\n-- mode: b=whole\nSELECT 1 -- x: y"
    assert sql_text.front_matter(sql) == {
        "grain": "one row per call: each", "key": "path, bstart", "mode": "a=whole, b=whole",
    }  # fmt: skip


def test_tokens_know_comments_strings_quotes_and_lines() -> None:
    sql = "SELECT /* a /* b */ c */ 'it''s\n--no' , \"Q\"\"x\" -- end\n, E'\\'' , $$d$e$$ , Xy"
    found = [(t.kind, t.name if t.kind in ("word", "quoted") else t.text, t.line) for t in sql_text.tokens(sql)]
    assert found == [
        ("word", "select", 1), ("string", "'it''s\n--no'", 1), ("symbol", ",", 2), ("quoted", 'Q"x', 2),
        ("symbol", ",", 3), ("string", "E'\\''", 3), ("symbol", ",", 3), ("string", "$$d$e$$", 3), ("symbol", ",", 3),
        ("word", "xy", 3),
    ]  # fmt: skip


ROWS = {"a": pa.table({"path": ["p", "q"], "id": [1, 2]})}


def test_execution_gives_the_declared_types() -> None:
    schema = pa.schema([("n", pa.int32()), ("path", pa.string())])
    found = execute("SELECT substr(path, 1, 1) AS path, id AS n FROM a", ROWS, schema)
    assert (found.schema, found.to_pydict()) == (schema, {"n": [1, 2], "path": ["p", "q"]})


def test_a_query_that_fails_while_running_is_a_run_error_of_its_task() -> None:
    with pytest.raises(RunError, match="view 'v' failed: Divide by zero") as caught:
        execute("SELECT 1 / (id - id) AS n FROM a", ROWS, task="v")
    assert caught.value.task == "v"


def test_a_query_that_cannot_be_planned_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match=r"view 'v' \(line 1\): names unknown column 'idd'; did you mean id"):
        execute("SELECT idd FROM a", ROWS, task="v")


def test_a_users_query_reads_and_never_writes() -> None:
    context = new_session()
    register_arrow(context, ROWS)
    known = {"a": ROWS["a"].schema}
    assert read_only(context, "SELECT max(id) AS top FROM a", known).to_pydict() == {"top": [2]}
    for sql in ("CREATE TABLE t AS SELECT 1", "INSERT INTO a VALUES ('r', 3)", "COPY a TO '/tmp/x.csv'", "SET a = 1"):
        with pytest.raises(PlanError, match="not supported"):
            read_only(context, sql, known)
    with pytest.raises(PlanError, match="reads unknown table 'b'; known: a"):
        read_only(context, "SELECT * FROM b", known)


def test_a_panic_of_the_engine_is_a_run_error(monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def panicking(_: DataFrame) -> pa.Table:
        raise panic("range start must not be greater than end")

    monkeypatch.setattr(DataFrame, "to_arrow_table", panicking)
    with pytest.raises(RunError, match="view 'v' failed: range start must not be greater"):
        execute("SELECT id FROM a", ROWS, task="v")
