"""CPU of whole builds of trivial Python analyses: cold, nothing changed, one changed; beside Hamilton's cache and doit.

    python benchmarks/engine.py [--sizes 100 1000 10000] [--anchor 1000] [--doit FOLDER] [--json FILE]

A layered plan of N analyses, about sqrt(N) layers, 1 to 3 parents each, in modules that are really imported; each phase
is a process of its own. `leaf`: the code of one analysis that nothing reads is edited. `cutoff`: the text of a source
is edited, its value not. `source`: the value is. `above` is CPU less that of a process that only imports what the phase
imported. doit is no dependency: it is looked for beside this interpreter and in `--doit`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cold import children_cpu

Dag = Mapping[str, tuple[str, ...]]
PHASES = ("cold", "no-op", "leaf", "cutoff", "source")


def layered(size: int) -> Dag:
    """Parents by task; the first layer reads one of ten sources."""
    chance, width = random.Random(0), max(1, int(size**0.5))
    names, dag = [f"t{i:06}" for i in range(size)], dict[str, tuple[str, ...]]()
    for i, name in enumerate(names):
        start = i - i % width
        above = names[start - width : start] if start else [f"s{n}" for n in range(10)]
        dag[name] = tuple(sorted(chance.sample(above, min(len(above), chance.randint(1, 3) if start else 1))))
    return dag


def sink(dag: Dag) -> str:
    """A task that nothing reads, alone in its module."""
    return max(dag)


def most_read(dag: Dag) -> str:
    return max((f"s{n}" for n in range(10)), key=lambda source: len(descendants(dag, source)))


def descendants(dag: Dag, source: str) -> set[str]:
    found = {source}
    for name, parents in dag.items():  # in topological order
        if not found.isdisjoint(parents):
            found.add(name)
    return found - {source}


def write_package(folder: Path, dag: Dag, form: str) -> None:
    """`layers.many` and `layers.one`, the same functions for every engine but for how rows are seen."""
    package = folder / "layers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "rows.py").write_text(ROWS[form])
    (folder / "values.json").write_text(json.dumps({f"s{n}": n for n in range(10)}))
    head = "from layers.rows import Rows, analysis, made, seen\n"
    bodies = {
        name: f"\n\n@analysis\ndef {name}({', '.join(f'{p}: Rows' for p in parents)}) -> Rows:\n"
        f"    return made({' + '.join(f'seen({p})' for p in parents)} + 1)\n"
        for name, parents in dag.items()
    }
    alone = sink(dag)
    (package / "many.py").write_text(head + "".join(b for n, b in bodies.items() if n != alone))
    (package / "one.py").write_text(head + bodies[alone])
    sources = "import json\nfrom pathlib import Path\nfrom layers.rows import Rows, made\n"
    for n in range(10):
        sources += (
            f"\n\ndef s{n}() -> Rows:\n    return made(int(json.loads(Path('values.json').read_text())['s{n}']))\n"
        )
    (package / "sources.py").write_text(sources)
    (folder / "build.py").write_text(BUILD[form])
    if form == "doit":
        write_doit(folder, dag)


CODEINTEL_ROWS = """\
import pyarrow as pa
import codeintel

Rows = pa.Table
SCHEMA = pa.schema({"value": pa.int64()})
analysis = codeintel.analysis(SCHEMA)


def seen(table):
    return table["value"][0].as_py()


def made(value):
    return pa.table({"value": [value % 1_000_003]}, SCHEMA)
"""

HAMILTON_ROWS = """\
Rows = int


def analysis(function):
    return function


def seen(value):
    return value


def made(value):
    return value % 1_000_003
"""

ROWS = {"codeintel": CODEINTEL_ROWS, "hamilton": HAMILTON_ROWS, "doit": HAMILTON_ROWS}

CODEINTEL_BUILD = """\
import inspect, json, os, sys
sys.path.insert(0, ".")
import codeintel
from layers import many, one, sources
from layers.rows import SCHEMA
analyses = {n: f for m in (many, one) for n, f in vars(m).items() if hasattr(f, "output_schema")}
declared = codeintel.Table(SCHEMA, ())
pipeline = codeintel.Pipeline(
    name="layers",
    sources={f"s{n}": codeintel.Source(declared, getattr(sources, f"s{n}")) for n in range(10)},
    analyses=analyses,
)
result = codeintel.build_pipeline(pipeline, "store", settings=codeintel.Settings(jobs=1))
runs = codeintel.open("store").manifest.tasks
ran = [n for n, r in runs.items() if r.outcome == "ran" and n in analyses]
print(json.dumps({"status": result.status, "ran": ran}))
if sys.argv[1:]:
    print(json.dumps(sorted(sys.modules)), file=open(sys.argv[1], "w"))
sys.stdout.flush()
os._exit(0)
"""

HAMILTON_BUILD = """\
import json, os, sys
sys.path.insert(0, ".")
from hamilton import driver
from layers import many, one, sources

given = [f"s{n}" for n in range(10)]
dr = driver.Builder().with_modules(many, one, sources).with_cache(path="store", recompute=given).build()
read = {d.name for v in dr.list_available_variables() for d in dr.graph.nodes[v.name].dependencies}
dr.execute([v.name for v in dr.list_available_variables() if v.name not in read])
logs = dr.cache.logs(dr.cache.last_run_id, level="debug")
ran = [n for n, events in logs.items() if any(e.event_type.value == "execute_node" for e in events)]
print(json.dumps({"status": "ok", "ran": [n for n in ran if n[0] == "t"]}))
if sys.argv[1:]:
    print(json.dumps(sorted(sys.modules)), file=open(sys.argv[1], "w"))
sys.stdout.flush()
os._exit(0)
"""

DOIT_BUILD = """\
import io, json, sys
sys.path.insert(0, ".")
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
import dodo
code = DoitMain(ModuleTaskLoader(dodo)).run(["run"])
print(json.dumps({"status": "ok" if not code else "failed", "ran": [n for n in dodo.RAN if n[0] == "t"]}))
if sys.argv[1:]:
    print(json.dumps(sorted(sys.modules)), file=open(sys.argv[1], "w"))
"""

BUILD = {"codeintel": CODEINTEL_BUILD, "hamilton": HAMILTON_BUILD, "doit": DOIT_BUILD}


def write_doit(folder: Path, dag: Dag) -> None:
    """A file for each task; it depends on its parents' files and on a file with its own code."""
    (folder / "code").mkdir()
    (folder / "out").mkdir()
    for name in dag:
        (folder / "code" / name).write_text("1")
    (folder / "dodo.py").write_text(f"""\
import json
from pathlib import Path
DAG = json.loads({json.dumps(json.dumps(dag))})
RAN = []
DOIT_CONFIG = {{"reporter": "zero", "backend": "dbm"}}


def source(name):
    value = str(json.loads(Path("values.json").read_text())[name])
    out = Path("out", name)
    if not out.exists() or out.read_text() != value:
        out.write_text(value)
    RAN.append(name)


def compute(name):
    Path("out", name).write_text(str((sum(int(Path("out", p).read_text()) for p in DAG[name])
                                      + int(Path("code", name).read_text())) % 1_000_003))
    RAN.append(name)


def task_all():
    for n in range(10):
        yield {{"name": f"s{{n}}", "actions": [(source, [f"s{{n}}"])], "targets": [f"out/s{{n}}"],
               "file_dep": ["values.json"]}}
    for name, parents in DAG.items():
        yield {{"name": name, "actions": [(compute, [name])], "targets": [f"out/{{name}}"],
               "file_dep": [f"code/{{name}}", *(f"out/{{p}}" for p in parents)]}}
""")


def change(folder: Path, phase: str, dag: Dag, form: str) -> set[str]:
    """Make the change of `phase`, and return the tasks that it makes necessary."""
    if phase == "cold":
        return set(dag)
    if phase == "leaf":
        if form == "doit":
            (folder / "code" / sink(dag)).write_text("20")
        else:
            file = folder / "layers" / "one.py"
            file.write_text(file.read_text().replace(" + 1)", " + 20)"))
        return {sink(dag)}
    values = folder / "values.json"
    found = json.loads(values.read_text())
    if phase == "cutoff":
        values.write_text(json.dumps(found, indent=3))
    if phase == "source":
        source = most_read(dag)
        values.write_text(json.dumps(found | {source: found[source] + 100}, indent=3))
        return descendants(dag, source)
    return set()


def measured(form: str, size: int, work: Path, path: Iterable[str]) -> list[dict[str, Any]]:
    dag, folder = layered(size), work / f"{form}-{size}"
    write_package(folder, dag, form)
    rows = []
    for phase in PHASES:
        needed = change(folder, phase, dag, form)
        cpu, told = run(folder, ["build.py", "modules.json"], path)
        imported = imports_alone(folder, path)
        ran = told["ran"]
        rows.append({
            "engine": form, "tasks": size, "phase": phase, "cpu_s": round(cpu, 3),
            "import_cpu_s": round(imported, 3), "above_s": round(cpu - imported, 3), "ran": len(ran),
            "needed": len(needed), "right": sorted(ran) == sorted(needed), "status": told["status"],
        })  # fmt: skip
        print(line(rows[-1]), flush=True)
    shutil.rmtree(folder)
    return rows


def run(folder: Path, command: list[str], path: Iterable[str]) -> tuple[float, dict[str, Any]]:
    """CPU seconds of a process and its children, and the last line that it printed."""
    environment = {"PYTHONPATH": os.pathsep.join(path), "HAMILTON_AUTOLOAD_EXTENSIONS": "0", "PATH": os.defpath}
    before = children_cpu()
    done = subprocess.run([sys.executable, "-P", *command], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} in {folder}: {done.stderr[-2000:]}")
    return children_cpu() - before, json.loads(done.stdout.strip().rpartition("\n")[2] or "{}")


IMPORT = """\
import json, os, sys
sys.path.insert(0, ".")
import importlib
for name in json.load(open("modules.json")):
    if name.partition(".")[0] not in ("__main__", "layers", "dodo"):
        try:
            importlib.import_module(name)
        except Exception:
            pass
print("{}")
sys.stdout.flush()
os._exit(0)
"""


def imports_alone(folder: Path, path: Iterable[str]) -> float:
    """CPU seconds of a process that imports what the one before imported, but for the tasks' own modules."""
    return min(run(folder, ["-c", IMPORT], path)[0] for _ in range(2))


def line(row: Mapping[str, Any]) -> str:
    verdict = "" if row["right"] and row["status"] == "ok" else "  WRONG"
    return (
        f"{row['engine']:10} {row['tasks']:7,} {row['phase']:7} {row['ran']:7,} {row['needed']:7,} "
        f"{row['cpu_s']:8.2f} {row['import_cpu_s']:8.2f} {row['above_s']:8.2f}{verdict}"
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10000])
    arguments.add_argument("--anchor", type=int, default=1000, help="size for Hamilton and doit; 0 for neither")
    arguments.add_argument("--doit", type=Path, help="folder that doit was installed into with pip's --target")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    path = [str(Path(__file__).parents[1] / "src")]
    work = Path(tempfile.mkdtemp(prefix="codeintel-engine-"))
    rows = []
    print(f"{'engine':10} {'tasks':>7} {'phase':7} {'ran':>7} {'needed':>7} {'CPU s':>8} {'imports':>8} {'above':>8}")
    try:
        for size in given.sizes:
            rows += measured("codeintel", size, work, path)
        if given.anchor:
            rows += measured("hamilton", given.anchor, work, path)
            if given.doit or importlib.util.find_spec("doit"):
                rows += measured("doit", given.anchor, work, [*path, *([str(given.doit)] if given.doit else [])])
            else:
                print("doit is not here: pip install --target FOLDER doit, then --doit FOLDER")
    finally:
        shutil.rmtree(work)
    ours = [row for row in rows if row["engine"] == "codeintel"]
    wrong = [row for row in ours if not row["right"]]
    print(f"codeintel ran what was needed in {len(ours) - len(wrong)} of {len(ours)} phases")
    goals = {1000: 0.35, 10000: 1.5}
    for row in ours:
        if row["phase"] == "no-op" and row["tasks"] in goals:
            print(f"no-op of {row['tasks']:,}: {row['above_s']:.2f} CPU s above imports, goal {goals[row['tasks']]}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
