"""How a build runs its plan: admission, drift, executors, memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

import codeintel
from codeintel.hamilton_pipeline.modules import tasks
from codeintel.hamilton_pipeline.process_usage import KEPT_BYTES
from codeintel.hamilton_pipeline.workers import Usage, most_at_once
from tests.build import deadly

Make = Callable[[Mapping[str, str | bytes]], Path]


def artifact(root: Path, query: str) -> list[dict[str, object]]:
    return codeintel.open(root / ".codeintel").sql(query, artifacts=True).to_arrow_table().to_pylist()


def versions(store: Path) -> dict[str, str]:
    return {n: h.handle(n).version for n, h in codeintel.open(store).manifest.handles.items()}


def test_a_clean_build_raises_no_drift_alarm_and_admits_every_task(make_repository: Make) -> None:
    root = make_repository({"a.py": "import os\nx = len(os.sep)\n"})
    result = codeintel.build(root, jobs=2)
    assert artifact(root, "SELECT kind, task, expected, actual FROM drift WHERE alarm") == []
    admitted = artifact(root, "SELECT DISTINCT task FROM admission WHERE task <> '' AND admitted AND status = 'ran'")
    assert len(admitted) == result.tasks["planned"]
    grouped = artifact(root, "SELECT count(*) AS n FROM groupings WHERE planned = actual")
    assert grouped == [{"n": result.tasks["planned"]}]


def test_hamiltons_own_executor_computes_the_same_and_drift_shows_its_order(
    make_repository: Make, tmp_path: Path
) -> None:
    root = make_repository({"a.py": "import os\nx = len(os.sep)\n"})
    codeintel.build(root, jobs=1)
    codeintel.build(root, jobs=1, executor="hamilton", store=tmp_path / "other")
    assert versions(tmp_path / "other") == versions(root / ".codeintel")
    kinds = codeintel.open(tmp_path / "other").sql("SELECT DISTINCT kind FROM drift WHERE alarm", artifacts=True)
    assert kinds.to_arrow_table().to_pylist() == [{"kind": "order"}]


def test_a_memory_limit_below_every_estimate_runs_tasks_one_at_a_time(make_repository: Make) -> None:
    root = make_repository({f"m{i}.py": f"x = {i}\n" for i in range(20)})
    codeintel.build(root, jobs=2)
    result = codeintel.build(root, jobs=2, memory_limit=1, cache_policy="off")
    assert (result.status, result.tasks["ran"]) == ("ok", result.tasks["planned"])


def test_a_memory_limit_below_every_estimate_runs_jobs_one_at_a_time(
    make_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "HEAVY_ROWS", 0)
    root = make_repository({f"m{i}.py": f"def f{i}(x):\n    return x + {i}\n" for i in range(20)})
    result = codeintel.build(root, jobs=2, memory_limit=1)
    spans = artifact(root, "SELECT started, ended FROM spans WHERE lane LIKE 'worker%' ORDER BY started")
    assert result.status == "ok"
    assert len(spans) > 20
    for before, after in pairwise(spans):
        assert float(str(before["ended"])) <= float(str(after["started"])), (before, after)


def test_weights_are_learnt_and_change_no_signature(make_repository: Make) -> None:
    root = make_repository({"a.py": "x = 1\n"})
    before = codeintel.compile_plan(root)
    codeintel.build(root, jobs=1)
    after = codeintel.compile_plan(root)
    assert after.schedule.weights["python_facts"] != before.schedule.weights["python_facts"]
    assert after.signature == before.signature
    assert after.weights_digest != before.weights_digest


def survived(folder: Path, deaths: int) -> tuple[codeintel.BuildResult, int]:
    """A build in whose middle a worker process is killed so often, and how often its job was begun."""
    diary = folder / f"{deaths}.txt"
    result = codeintel.build_pipeline(
        deadly.SURVIVORS,
        folder / "store",
        settings=codeintel.Settings(jobs=1),
        parameters={"diary": diary, "deaths": deaths},
    )
    return result, len(set(diary.read_text().splitlines()))


def test_a_job_whose_process_is_killed_is_run_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "HEAVY_ROWS", 1)
    result, processes = survived(tmp_path, deaths=1)
    assert (result.errors, result.status, processes) == ({}, "ok", 2)
    assert codeintel.open(tmp_path / "store").table("doubled").to_pylist() == [{"n": 2}, {"n": 4}]


def test_a_job_that_kills_two_processes_fails_its_task_and_the_run_before_stays_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "HEAVY_ROWS", 1)
    before, _ = survived(tmp_path, deaths=0)
    result, processes = survived(tmp_path, deaths=3)
    assert (result.status, processes) == ("failed", 2)
    assert result.errors == {"survivors": "analysis 'survivors': the worker process died (signal 9), twice"}
    assert result.skipped.keys() == {"doubled", "doubled_v1"}
    assert codeintel.open(tmp_path / "store").manifest.run_id == before.run_id


@pytest.mark.parametrize(
    ("spans", "most"),
    [
        ([], 0),
        ([(0.0, 2.0, "a", 7), (1.0, 3.0, "b", 5)], 12),
        ([(0.0, 2.0, "a", 7), (2.0, 3.0, "a", 5)], 7),
        ([(0.0, 2.0, "a", KEPT_BYTES * 3), (2.0, 3.0, "b", KEPT_BYTES * 2)], KEPT_BYTES * 3),
        ([(0.0, 2.0, "a", 9), (1.0, 6.0, "b", 2), (3.0, 4.0, "a", 1), (5.0, 7.0, "c", 3)], 11),
    ],
    ids=["none", "at one time", "one after the other", "an idle one gives back what is much", "three"],
)
def test_memory_is_counted_that_is_held_at_one_time(spans: list[tuple[float, float, str, int]], most: int) -> None:
    assert most_at_once({"x": Usage(spans=spans[::2]), "y": Usage(spans=spans[1::2])}) == most
