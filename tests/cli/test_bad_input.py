"""What people get wrong on the command line, and what machines do to them: one clear line, and nothing written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.build.conftest import write_repository

Check = Callable[..., None]
TINY = {"pkg/__init__.py": "", "pkg/a.py": "def f(a):\n    return a\n"}
CODEINTEL = Path(sys.executable).with_name("codeintel")
# Root may read and write everything; these prefixes take that away, as far as the machine lets them.
UNPRIVILEGED = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    if os.getuid() == 0
    else []
)


def codeintel(*arguments: object, cwd: Path, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, str(CODEINTEL), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def fails(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def unprivileged() -> tuple[str, ...]:
    if UNPRIVILEGED:
        tried = subprocess.run([*UNPRIVILEGED, "true"], capture_output=True, check=False)
        if tried.returncode:
            pytest.skip("runs as root and cannot step down")
    return tuple(UNPRIVILEGED)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"SELECT path\nFROM files -- \xff", ("v.sql:2", "not UTF-8")),
        (b"SELECT path\nFRM files", ("v.sql:2", "Expected")),
        (b"SELECT path\nFROM filez", ("v.sql:2", "did you mean files")),
    ],
)
def test_a_view_that_cannot_be_read_is_told_with_file_and_line(
    tmp_path: Path, content: bytes, words: tuple[str, ...]
) -> None:
    write_repository(tmp_path, {"r/a.py": "x = 1\n", "views/v.sql": content})
    fails(codeintel("build", "r", "--views", "views", cwd=tmp_path), 2, *words)
    assert not (tmp_path / "r/.codeintel").exists()


def test_a_folder_that_is_named_like_a_view_is_told(tmp_path: Path) -> None:
    write_repository(tmp_path, {"r/a.py": "x = 1\n", "views/v.sql/readme": ""})
    fails(codeintel("build", "r", "--views", "views", cwd=tmp_path), 2, "v.sql", "directory")


def test_views_may_have_the_names_of_what_runs_them(tmp_path: Path) -> None:
    names = ("plan", "bench", "task", "function", "inputs", "settings")
    views = {f"views/{name}.sql": "SELECT path, module FROM files" for name in names}
    reader = "SELECT a.path FROM " + " CROSS JOIN ".join(f"{n} AS {n[0]}{i}" for i, n in enumerate(names))
    write_repository(tmp_path, {"r/a.py": "x = 1\n", **views, "views/reader.sql": reader.replace("a.path", "p0.path")})
    done = codeintel("build", "r", "--views", "views", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {name: json.loads(done.stdout)["tables"][name]["rows"] for name in (*names, "reader")} == dict.fromkeys(
        (*names, "reader"), 1
    )


def test_what_may_not_be_read_or_written_is_told(tmp_path: Path, unprivileged: tuple[str, ...]) -> None:
    write_repository(tmp_path, {"r/a.py": "x = 1\n", "shut/r/a.py": "x = 1\n", "views/v.sql": "SELECT path FROM files"})
    assert codeintel("build", "r", "--store", "store", cwd=tmp_path).returncode == 0

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return codeintel(*arguments, cwd=tmp_path, prefix=unprivileged)

    for folder, done in (
        ("shut", lambda: run("build", "shut")),
        ("shut", lambda: run("build", "shut/r")),
        ("views", lambda: run("build", "r", "--views", "views")),
    ):
        (tmp_path / folder).chmod(0)
        fails(done(), 2, folder, "ermission denied")
        (tmp_path / folder).chmod(0o755)
    for folder, done in (
        ("shut", lambda: run("build", "r", "--store", "shut/store")),
        ("store", lambda: run("build", "r", "--store", "store")),
        ("store", lambda: run("sql", "SELECT 1", "--store", "store")),
        ("store/objects", lambda: run("build", "r", "--store", "store")),
    ):
        (tmp_path / folder).chmod(0)
        fails(done(), 3, folder.partition("/")[0], "ermission denied")
        (tmp_path / folder).chmod(0o755)
    for folder in ("store/objects", "store/runs", "store/tables/files/_delta_log"):
        write_repository(tmp_path, {f"r/{folder.replace('/', '_')}.py": f"{folder.replace('/', '_')} = 1\n"})
        within = [p for p in (tmp_path / folder).rglob("*") if p.is_dir()]
        for each in (tmp_path / folder, *within):
            each.chmod(0o555)
        fails(run("build", "r", "--store", "store"), 3, "cannot be", "ermission denied")
        for each in (tmp_path / folder, *within):
            each.chmod(0o755)
    assert codeintel("build", "r", "--store", "store", cwd=tmp_path).returncode == 0


def test_a_store_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    write_repository(
        tmp_path, {"r/a.py": "x = 1\n", "r/.codeintel/.gitignore": "*\n", "r/.codeintel/.store.json.x": ""}
    )
    (tmp_path / "r/.codeintel/objects").mkdir()
    assert codeintel("build", "r", cwd=tmp_path).returncode == 0
    write_repository(tmp_path, {"other/objects/mine": "precious"})
    fails(codeintel("build", "r", "--store", "other", cwd=tmp_path), 3, "not a codeintel store")


def test_a_store_that_is_a_file_is_told_without_the_operating_systems_words(tmp_path: Path) -> None:
    write_repository(tmp_path, {"file": ""})
    fails(codeintel("sql", "SELECT 1", "--store", "file", cwd=tmp_path), 3, "no store at", "codeintel build")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_repository(tmp_path_factory.mktemp("built") / "r", TINY)
    assert codeintel("build", cwd=root).returncode == 0
    return root


def test_a_run_is_named_and_never_a_path(built: Path) -> None:
    outside = built.parent / "outside"
    outside.mkdir()
    (run,) = (built / ".codeintel/runs").iterdir()
    (outside / "manifest.json").write_bytes((run / "manifest.json").read_bytes())
    for name in ("../../../outside", f"../runs/{run.name}", ".", "", str(run)):
        fails(codeintel("sql", "SELECT 1", "--run", name, cwd=built), 2, "no run", run.name)


@pytest.mark.parametrize("query", ["SELECT 1 / 0", "SELECT CAST(path AS INT) FROM files"])
def test_a_query_that_fails_while_it_runs_is_told_in_one_line(built: Path, query: str) -> None:
    fails(codeintel("sql", query, cwd=built), 1, "query failed: ")


def test_a_page_that_cannot_be_written_is_told(built: Path) -> None:
    fails(codeintel("plan", "--html", "nowhere/page.html", cwd=built), 2, "nowhere/page.html", "cannot be written")


def test_sql_finds_the_store_of_the_repository_around(built: Path) -> None:
    done = codeintel("sql", "SELECT path FROM files ORDER BY 1", "--format", "csv", cwd=built / "pkg")
    assert done.stdout.splitlines() == ["path", "pkg/__init__.py", "pkg/a.py"]


def test_rows_in_a_pipe_are_whole_lines(built: Path) -> None:
    done = codeintel("sql", "SELECT * FROM cpg_nodes ORDER BY path, bstart", cwd=built)
    header, *rows = done.stdout.splitlines()
    assert header.split()[:3] == ["node_id", "kind", "label"]
    assert len(rows) == int(codeintel("sql", "SELECT count(*) FROM cpg_nodes", cwd=built).stdout.split()[-1])
    (run,) = (built / ".codeintel/runs").iterdir()
    assert run.name in codeintel("runs", cwd=built).stdout.split()


def test_analyses_may_lie_in_the_working_directory(tmp_path: Path) -> None:
    analysis = """
import codeintel, pyarrow as pa
@codeintel.analysis(pa.schema({"n": pa.int64()}))
def how_many(files: pa.Table) -> pa.Table:
    return pa.table({"n": [files.num_rows]})
"""
    write_repository(tmp_path, {"r/a.py": "x = 1\n", "mine.py": analysis, "empty.py": "", "bad.py": "1 / 0"})
    done = codeintel("build", "r", "--analyses", "mine", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tables"]["how_many"]["rows"] == 1
    fails(codeintel("build", "r", "--analyses", "nope", cwd=tmp_path), 2, "'nope' cannot be imported")
    fails(codeintel("build", "r", "--analyses", "empty", cwd=tmp_path), 2, "'empty' holds no analysis")
    fails(
        codeintel("build", "r", "--analyses", "bad", cwd=tmp_path), 2, "'bad' cannot be imported", "ZeroDivisionError"
    )


def test_a_full_disk_fails_the_build_and_leaves_the_last_run_current(tmp_path: Path) -> None:
    write_repository(tmp_path, {"r/a.py": "x = 1\n"})
    assert codeintel("build", "r", cwd=tmp_path).returncode == 0
    before = (tmp_path / "r/.codeintel/current").read_text()
    write_repository(tmp_path, {f"r/m{i}.py": f"y = {i}\n" * 3000 for i in range(3)})

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = subprocess.run(
        [CODEINTEL, "build", "r", "--jobs", "1"],
        cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=no_room,
    )  # fmt: skip
    fails(done, 3, "cannot be written", "File too large")
    assert (tmp_path / "r/.codeintel/current").read_text() == before
    assert codeintel("build", "r", cwd=tmp_path).returncode == 0


def test_a_link_that_leads_round_in_a_circle_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    write_repository(tmp_path, {"r/a.py": "x = 1\n"})
    fails(codeintel("build", "loop", cwd=tmp_path), 2, "loop cannot be read", "symbolic links")
    fails(codeintel("build", "r", "--store", "loop", cwd=tmp_path), 3, "loop")
    fails(codeintel("sql", "SELECT 1", "--store", "loop", cwd=tmp_path), 3, "loop")


def test_a_strict_build_says_what_failed_it_and_how_to_see_it(tmp_path: Path) -> None:
    root = write_repository(tmp_path, {"a.py": "x = 1\n", "bad.py": "def f(:\n"})
    done = codeintel("build", "--strict", cwd=root)
    assert done.returncode == 1
    (hint,) = [line for line in done.stderr.splitlines() if line.startswith("--strict")]
    run = hint.partition("--run ")[2].split()[0]
    shown = codeintel("sql", "SELECT DISTINCT path FROM extract_errors", "--run", run, "--format", "csv", cwd=root)
    assert shown.stdout.splitlines() == ["path", "bad.py"]
