"""An analysis that tells files apart by components is given those of which something changed, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import codeintel
from codeintel.errors import PlanError
from codeintel.hamilton_pipeline.component_reuse import Earlier, Reuse, with_kept
from codeintel.hamilton_pipeline.memory_budget import GROWTH, MemoryBudget
from codeintel.hamilton_pipeline.partition_jobs import AnalysisJob, Input
from codeintel.hamilton_pipeline.stored_rows import store_rows
from codeintel.relspec.pipeline import Analysis
from codeintel.store.handles import TableHandle, object_path

ROWS = pa.schema({"path": pa.string(), "n": pa.int64(), "bucket": pa.int32()})
PARTS = pa.schema({"path": pa.string(), "component": pa.string()})
LIMIT = pa.schema({"least": pa.int64()})
BUCKETS = (0, 3, 4, 9)


def rows(count: int = 3) -> pa.Table:
    places = [(f"f{bucket}.py", n, bucket) for bucket in BUCKETS for n in range(count)]
    return pa.table([list(column) for column in zip(*places, strict=True)], ROWS)


class Program:
    """Facts about files, the components of these, and what one analysis makes of them in a store."""

    def __init__(self, store: Path, analyse: Analysis) -> None:
        self.store, self.analyse = store, analyse
        self.facts, self.least = rows().to_pylist(), 0
        self.parts = pa.table([[f"f{b}.py" for b in BUCKETS], ["even", "odd", "even", "odd"]], PARTS)

    def built(self) -> codeintel.BuildResult:
        facts, parts, least = pa.Table.from_pylist(self.facts, ROWS), self.parts, pa.table([[self.least]], LIMIT)
        table = codeintel.Table
        pipeline = codeintel.Pipeline(
            name="parts", published=frozenset({"found"}), analyses={"found": self.analyse},
            sources={
                "rows": codeintel.Source(table(ROWS, ("path", "n")), lambda: facts),
                "parts": codeintel.Source(table(parts.schema, ("path", "component")), lambda: parts),
                "limit": codeintel.Source(table(LIMIT, ("least",)), lambda: least),
            },
        )  # fmt: skip
        return codeintel.build_pipeline(pipeline, self.store)

    def component(self, path: str, component: str) -> None:
        found = [(p, component if p == path else c) for p, c in zip(*self.parts.to_pydict().values(), strict=True)]
        self.parts = pa.table([list(column) for column in zip(*found, strict=True)], PARTS)

    def remove(self, path: str) -> None:
        self.facts = [row for row in self.facts if row["path"] != path]
        self.parts = self.parts.filter(pc.not_equal(self.parts["path"], path))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    log = tmp_path / "given"

    @codeintel.analysis(ROWS, components="parts")
    def found(rows: pa.RecordBatchReader, parts: pa.Table, limit: pa.Table) -> Iterator[pa.Table]:
        batches = [pa.table(batch) for batch in rows]
        paths = {path for batch in batches for path in batch["path"].to_pylist()}
        log.write_text(" ".join([*sorted({*map(str, parts["component"].to_pylist())}), *sorted(paths)]))
        for batch in batches:
            yield batch.filter(pc.greater_equal(batch["n"], limit["least"][0]))

    return Program(tmp_path / "store", found)


def given(program: Program) -> str:
    """The components and files that the analysis was given. What there is then is what there should be."""
    result = program.built()
    assert result.errors == {}
    found = codeintel.open(program.store).table("found").to_pylist()
    wanted = [(row["path"], row["n"]) for row in program.facts if row["n"] >= program.least]
    assert sorted((row["path"], row["n"]) for row in found) == sorted(wanted)
    return (program.store.parent / "given").read_text()


EVERYTHING = "even odd f0.py f3.py f4.py f9.py"


def test_a_row_that_changes_is_given_with_its_component(program: Program) -> None:
    assert given(program) == EVERYTHING
    program.facts[-1]["n"] = 77
    assert given(program) == "odd f3.py f9.py"


CHANGES: dict[str, tuple[Callable[[Program], object], str]] = {
    "a file changes sides": (lambda p: p.component("f4.py", "odd"), EVERYTHING),
    "a file has one of its own": (lambda p: p.component("f4.py", "four"), "even four f0.py f4.py"),
    "components have another name": (lambda p: (p.component("f3.py", "x"), p.component("f9.py", "x")), "x f3.py f9.py"),
    "an input of no file": (lambda p: setattr(p, "least", 2), EVERYTHING),
    "a file less": (lambda p: p.remove("f0.py"), "even f4.py"),
    "a component less": (lambda p: (p.remove("f0.py"), p.remove("f4.py")), ""),
}


@pytest.mark.parametrize(("change", "wanted"), CHANGES.values(), ids=CHANGES)
def test_what_changed_is_given(program: Program, change: Callable[[Program], object], wanted: str) -> None:
    given(program)
    change(program)
    assert given(program) == wanted


def test_components_of_another_type_are_all_given(program: Program) -> None:
    given(program)
    numbers = pa.array([2, 1, 2, 1])
    program.parts = pa.table({"path": program.parts["path"], "component": numbers})
    assert given(program) == "1 2 f0.py f3.py f4.py f9.py"


@pytest.mark.parametrize("table", ["rows", "parts", "found"])
def test_what_is_damaged_of_the_run_before_costs_no_more_than_looking_again(program: Program, table: str) -> None:
    given(program)
    for part in codeintel.open(program.store).manifest.handles[table].handle(table).partitions.values():
        object_path(program.store / "objects", part).unlink()
    program.facts = [row | {"n": row["n"] + 1} for row in program.facts]
    program.component("f0.py", "zero")
    assert given(program) == "even odd zero f0.py f3.py f4.py f9.py"


def test_rows_about_other_files_are_told(program: Program) -> None:
    @codeintel.analysis(ROWS, components="parts")
    def total(rows: pa.Table, parts: pa.Table, limit: pa.Table) -> pa.Table:
        return pa.table([["everything.py"], [sum(table.num_rows for table in (rows, parts, limit))], [0]], ROWS)

    program.analyse = total
    assert "'found' gives rows about 'everything.py', a file that it was not given" in program.built().errors["found"]


def test_a_file_in_two_components_is_told(program: Program) -> None:
    program.parts = pa.concat_tables([program.parts, pa.table([["f3.py"], ["third"]], PARTS)])
    assert "'parts' has 'f3.py' more than once" in program.built().errors["found"]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_kept_rows_are_held_a_bucket_at_a_time(tmp_path: Path, bucket: int) -> None:
    parts = store_rows(tmp_path, "found", rows(), codeintel.Table(ROWS, ()), "arrow")
    files = frozenset(f"f{b}.py" for b in BUCKETS)
    anew = frozenset({f"f{bucket}.py"})
    fresh = rows().filter(pc.equal(rows()["bucket"], bucket))
    reused = Reuse(anew, files - anew, (1, 4))
    tables = list(with_kept(tmp_path, "found", iter([fresh]), reused, Earlier({}, parts), ROWS))
    assert [table["bucket"].unique().to_pylist() for table in tables if table.num_rows] == [[b] for b in BUCKETS]
    assert pa.concat_tables(tables).sort_by([("bucket", "ascending"), ("n", "ascending")]).equals(rows())


def test_what_a_part_took_says_nothing_of_what_the_whole_will(tmp_path: Path, program: Program) -> None:
    parts = store_rows(tmp_path, "rows", rows(), codeintel.Table(ROWS, ()), "arrow")
    handle = TableHandle("rows", "", parts)
    whole = GROWTH * sum(part.bytes for part in parts.values())
    for components, need in ((None, 5e6), ("parts", 150e6 + whole)):
        inputs = {"rows": Input(handle, ROWS)}
        job = AnalysisJob(
            tmp_path, "found", program.analyse, inputs, {}, codeintel.Table(ROWS, ()), "arrow", components=components
        )
        budget = MemoryBudget.of(1000, {"found": 5.0})
        assert budget.may_start("found", job)
        assert list(budget.flying.values()) == [need]


@pytest.mark.parametrize(
    ("columns", "components", "wrong"),
    [
        ("path component", "part", "has components by 'part', which it does not read; .*parts"),
        ("path other", "parts", "which lacks the column 'component'"),
    ],
)
def test_components_that_tell_no_files_apart_are_told(
    tmp_path: Path, columns: str, components: str, wrong: str
) -> None:
    @codeintel.analysis(ROWS, components=components)
    def divided(rows: pa.Table, parts: pa.Table) -> pa.Table:
        raise NotImplementedError

    schema = pa.schema({column: pa.string() for column in columns.split()})
    sources = {
        "rows": codeintel.Source(codeintel.Table(ROWS, ("path", "n")), rows),
        "parts": codeintel.Source(codeintel.Table(schema, ("path",)), schema.empty_table),
    }
    pipeline = codeintel.Pipeline("p", sources, analyses={"divided": divided}, published=frozenset({"divided"}))
    with pytest.raises(PlanError, match=wrong):
        codeintel.build_pipeline(pipeline, tmp_path)


def test_components_of_rows_that_are_of_no_file_are_told(tmp_path: Path) -> None:
    @codeintel.analysis(LIMIT, components="parts")
    def summed(parts: pa.Table) -> pa.Table:
        raise NotImplementedError

    sources = {"parts": codeintel.Source(codeintel.Table(PARTS, ("path",)), PARTS.empty_table)}
    pipeline = codeintel.Pipeline("p", sources, analyses={"summed": summed}, published=frozenset({"summed"}))
    with pytest.raises(PlanError, match="it gives no 'path' or no 'bucket'"):
        codeintel.build_pipeline(pipeline, tmp_path)
