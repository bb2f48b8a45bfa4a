"""The executor `ray`: the local build's tables, whatever dies."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

import codeintel
from codeintel.errors import UsageError
from codeintel.hamilton_pipeline.modules import tasks
from codeintel.settings import Settings
from codeintel.store.directory import ensure_store
from tests.build.conftest import FILES, write_repository
from tests.build.kills import kill, started

pytest.importorskip("ray")
if sys.platform != "linux":
    pytest.skip("several nodes on one machine are for Linux alone", allow_module_level=True)
from codeintel.hamilton_pipeline.ray_workers import place_of
from tests.ray import held, two_nodes

MANY = FILES | {f"more/m{i}.py": f"import shop\n\ndef f{i}(x):\n    return shop.Cart(x).total()\n" for i in range(12)}
BUCKETS = 6


@pytest.fixture(scope="module")
def cluster() -> Iterator[two_nodes.Cluster]:
    with two_nodes.two_nodes() as started:
        yield started


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "repository", MANY)


@pytest.fixture
def heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task leaves the driver, some buckets a job."""
    monkeypatch.setattr(tasks, "HEAVY_ROWS", 0)
    monkeypatch.setattr(tasks, "GROUP_ROWS", 200)


def built(root: Path, store: Path, executor: str, address: str = "") -> codeintel.BuildResult:
    settings = Settings(executor=executor, ray_address=address, jobs=2, bucket_count=BUCKETS)  # pyrefly: ignore[bad-argument-type]
    return codeintel.build_pipeline(
        held.HELD if executor == "ray" else held.PIPELINE,
        store,
        settings=settings,
        parameters={"repository": root},
    )


def versions(store: Path) -> dict[str, str]:
    return {n: h.handle(n).version for n, h in codeintel.open(store).manifest.handles.items()}


def artifact(store: Path, query: str) -> list[dict[str, object]]:
    return codeintel.open(store).sql(query, artifacts=True).to_arrow_table().to_pylist()


@pytest.mark.usefixtures("heavy")
def test_tables_equal_the_local_builds_cold_and_after_an_edit(
    cluster: two_nodes.Cluster, root: Path, tmp_path: Path
) -> None:
    (root.parent / "meet").touch()
    for edit in (None, "def price_of(good):\n    return 7\n"):
        if edit:
            (root.parent / "meet").unlink()
            (root / "shop" / "prices.py").write_text(edit)
        remote = built(root, tmp_path / "remote", "ray", cluster.address)
        local = built(root, tmp_path / "local", "local")
        assert (remote.status, remote.errors) == ("ok", {})
        assert versions(tmp_path / "remote") == versions(tmp_path / "local")
        assert remote.tasks == local.tasks
        assert remote.files == local.files
    assert sum(files for _, files in held.attempts(root)) == len(MANY) + 1
    assert {node for node, _ in held.attempts(root)} == cluster.raylets.keys()


@pytest.mark.usefixtures("heavy")
def test_every_remote_task_is_in_lineage_admission_and_drift_and_accounted(
    cluster: two_nodes.Cluster, root: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    result = built(root, store, "ray", cluster.address)
    planned = result.tasks["planned"]
    (admitted,) = artifact(store, "SELECT count(DISTINCT task) AS n FROM admission WHERE task <> '' AND status = 'ran'")
    (followed,) = artifact(store, "SELECT count(*) AS n FROM hamilton_cache_lineage_v2 WHERE outcome = 'ran'")
    assert (admitted["n"], followed["n"]) == (planned, planned)
    assert artifact(store, "SELECT kind, task FROM drift WHERE alarm") == []
    runs = codeintel.open(store).manifest.tasks
    for task in ("python_facts", "cpg_nodes", "resolutions", "cpg_edges"):
        assert runs[task].cpu_s > 0
        assert runs[task].worker_mb > 10, task
    assert result.cpu_s > sum(run.cpu_s for run in runs.values()) > 0
    assert result.peak_rss_mb > max(run.worker_mb for run in runs.values())


def test_a_raylet_that_is_killed_costs_its_jobs_one_more_run(root: Path, tmp_path: Path) -> None:
    hold = root.parent / "hold"
    with two_nodes.two_nodes() as cluster:

        def kill_second() -> None:
            while cluster.second not in (root.parent / "diary").read_text():
                time.sleep(0.01)
            cluster.kill_second()

        (root.parent / "diary").touch()
        (root.parent / "meet").touch()
        hold.write_text(cluster.second)
        killer = Thread(target=kill_second, daemon=True)
        killer.start()
        result = built(root, tmp_path / "remote", "ray", cluster.address)
        killer.join(10)
    assert (result.status, result.errors) == ("ok", {})
    built(root, tmp_path / "local", "local")
    assert versions(tmp_path / "remote") == versions(tmp_path / "local")
    tried = held.attempts(root)
    lost = [files for node, files in tried if node == cluster.second]
    assert len(lost) == 1
    assert sum(files for _, files in tried) == len(MANY) + lost[0]
    assert artifact(tmp_path / "remote", "SELECT kind, task FROM drift WHERE alarm") == []


def test_a_driver_that_is_killed_leaves_a_store_that_the_next_build_completes(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (root / "pyproject.toml").write_text(f"[tool.codeintel]\nbucket_count = {BUCKETS}\njobs = 1\n")
    arguments = ("build", root, "--store", store)
    with started(*arguments, "--executor", "ray") as process:
        while process.poll() is None and not any((store / "objects").glob("*/*")):
            time.sleep(0.01)
        kill(process)
    assert process.returncode == -signal.SIGKILL
    assert not (store / "current").exists()
    result = codeintel.build(root, store=store, bucket_count=BUCKETS, jobs=1)
    codeintel.build(root, store=tmp_path / "clean", bucket_count=BUCKETS, jobs=1)
    assert (result.status, versions(store)) == ("ok", versions(tmp_path / "clean"))


def test_without_the_extra_the_way_to_get_it_is_told(root: Path) -> None:
    hidden = (
        "import importlib.util\nfound = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'ray' else found(name, *rest)\n"
        "from codeintel.cli import main\nmain()\n"
    )
    command = [sys.executable, "-c", hidden, "build", str(root), "--executor", "ray"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'codeintel[ray]'" in done.stderr


def test_a_cluster_that_is_not_there_is_wrong_use(root: Path) -> None:
    with pytest.raises(UsageError, match="no Ray cluster at 127"):
        codeintel.build(root, executor="ray", ray_address="127.0.0.1:1", jobs=1)


def test_what_a_node_does_not_see_is_told_with_the_node_and_what_would_be_right(root: Path, tmp_path: Path) -> None:
    store = ensure_store(tmp_path / "store", BUCKETS, "")
    with store.writing(datetime.now(UTC), 0.0):
        place = place_of(store, {"repository": root, "namespace": ""}, pandas=False)
        assert place.fault("n1") == ""
        root.rename(root.with_name("elsewhere"))
        assert place.fault("n1") == (
            f"node n1 does not see the repository {root}; it has to lie on a path that every node sees"
        )
        assert "another version of codeintel" in replace(place, paths=(), package="").fault("n1")
    # another driver's lock, or another machine's disk, under the same path
    assert place.fault("n1") == (
        f"node n1 does not see the store {store.root}; choose a --store on a path that every node sees"
    )


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0, reason="needs a mount namespace"
)
def test_a_node_that_does_not_see_the_store_ends_the_build_with_a_clear_error(root: Path, tmp_path: Path) -> None:
    ensure_store(tmp_path / "store", BUCKETS, "")
    with two_nodes.blind_node(tmp_path / "store") as address, pytest.raises(UsageError) as told:
        codeintel.build(
            root, store=tmp_path / "store", jobs=1, bucket_count=BUCKETS, executor="ray", ray_address=address
        )
    assert re.search(rf"^node \w{{8}} does not see the store {tmp_path}/store; choose a --store on", str(told.value))
