"""Users' own functions, called by views."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import codeintel
from codeintel.hamilton_pipeline.modules import tasks
from tests.build.prices import with_quarter, with_tenth

SALES = codeintel.Table(pa.schema({"item": pa.string(), "cents": pa.int64()}), ("item",))
VIEWS = {
    "items": "-- key: item\nSELECT item FROM sales",
    "priced": "-- key: item\nSELECT item, gross(cents) AS cents FROM sales",
    "takings": "-- key: cents\nSELECT sum(cents) AS cents FROM priced",
}


def sales() -> pa.Table:
    return pa.table({"item": ["pen", "tea"], "cents": [100, 400]})


def built(store: Path, gross: Callable[..., pa.Array]) -> codeintel.BuildResult:
    pipeline = codeintel.Pipeline(
        name="shop",
        sources={"sales": codeintel.Source(SALES, sales)},
        views=VIEWS,
        published=frozenset(VIEWS),
        functions={"gross": codeintel.ScalarFunction(gross, (pa.int64(),), pa.int64())},
    )
    return codeintel.build_pipeline(pipeline, store, settings=codeintel.Settings(jobs=1))


def rows(store: Path) -> list[dict[str, object]]:
    return codeintel.open(store).table("priced").to_pylist()


def test_a_changed_function_is_run_by_the_views_that_call_it_and_what_reads_those(tmp_path: Path) -> None:
    assert built(tmp_path / "store", with_quarter).status == "ok"
    assert rows(tmp_path / "store") == [{"item": "pen", "cents": 125}, {"item": "tea", "cents": 500}]
    assert built(tmp_path / "store", with_tenth).status == "ok"
    assert rows(tmp_path / "store") == [{"item": "pen", "cents": 110}, {"item": "tea", "cents": 440}]
    outcomes = {name: run.outcome for name, run in codeintel.open(tmp_path / "store").manifest.tasks.items()}
    assert outcomes == {
        "sales": "ran", "items": "reused", "items_v1": "reused",
        "priced": "ran", "priced_v1": "ran", "takings": "ran", "takings_v1": "ran",
    }  # fmt: skip
    built(tmp_path / "store", with_tenth)
    outcomes = {name: run.outcome for name, run in codeintel.open(tmp_path / "store").manifest.tasks.items()}
    assert [name for name, outcome in outcomes.items() if outcome == "ran"] == ["sales"]


def test_a_function_in_a_closure_is_called_where_views_run_in_the_driver(tmp_path: Path) -> None:
    assert built(tmp_path / "store", lambda cents: pc.add(cents, 1)).status == "ok"
    assert rows(tmp_path / "store") == [{"item": "pen", "cents": 101}, {"item": "tea", "cents": 401}]


def test_a_function_of_a_module_is_called_in_other_processes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "HEAVY_ROWS", -1)
    assert built(tmp_path / "store", with_quarter).errors == {}
    assert rows(tmp_path / "store") == [{"item": "pen", "cents": 125}, {"item": "tea", "cents": 500}]


def test_a_function_that_another_process_cannot_import_fails_its_view_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "HEAVY_ROWS", -1)
    in_main = FunctionType(with_quarter.__code__, {"__name__": "__main__", "pc": pc}, "in_main")
    monkeypatch.setattr(sys.modules["__main__"], "in_main", in_main, raising=False)
    for number, gross in enumerate((lambda cents: cents, in_main)):
        result = built(tmp_path / str(number), gross)
        assert result.errors.keys() == {"priced"}
        assert "'priced' cannot run in a process of its own: " in result.errors["priced"]
        assert "define its functions at the top level of a module that can be imported" in result.errors["priced"]
        assert result.skipped.keys() == {"priced_v1", "takings", "takings_v1"}
        assert result.tasks["ran"] == 3


def test_what_a_function_raises_is_told(tmp_path: Path) -> None:
    def fails(cents: pa.Array) -> pa.Array:
        raise KeyError(cents[0].as_py())

    assert built(tmp_path / "store", fails).errors == {
        "priced": "view 'priced' failed: a function raised KeyError(100)"
    }
