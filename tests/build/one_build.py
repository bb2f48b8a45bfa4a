"""One build in a process of its own, under the versions and the environment asked for, told as one line of JSON.

    python -P tests/build/one_build.py REQUEST      # in the folder that holds what is built; REQUEST is JSON

`engine` says what is built: `pipeline` the package `flows` there through `codeintel.build_pipeline`, `repository` the
folder's Python files through `codeintel.build`, `hamilton` the package again through Hamilton's own cache. `clean`
names a store to build into a second time, in the same process, which must come to the same rows.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Facts = dict[str, Any]  # what JSON can hold


def patched(request: Facts) -> None:
    """Versions as asked, before anything that reads them is imported."""
    if python := request.get("python"):
        platform.python_version = lambda: python
    versions, real = request.get("versions", {}), importlib.metadata.version
    importlib.metadata.version = lambda distribution_name: versions.get(distribution_name) or real(distribution_name)


def facts_of(build: Callable[[Path], Any], store: Path) -> Facts:
    """What a build did, the data version of every table, and a digest of each public one as Delta's readers see it."""
    import codeintel  # noqa: PLC0415 - not before versions are patched
    from codeintel.fingerprint import digest  # noqa: PLC0415 - as above

    try:
        result = build(store)
    except codeintel.CodeintelError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    if result.status != "ok":
        return {"error": f"{result.status}: {dict(result.errors)}"}
    from deltalake import DeltaTable  # noqa: PLC0415 - as above

    manifest = codeintel.open(store).manifest
    rows = {}
    for name, table in manifest.tables.items():
        found = DeltaTable(store / table.path, version=table.version).to_pyarrow_table()
        columns = sorted(found.schema.names)
        rows[name] = digest(columns, sorted(map(repr, found.select(columns).to_pylist())))
    return {
        "ran": sorted(name for name, run in manifest.tasks.items() if run.outcome == "ran"),
        "reasons": {name: run.reason for name, run in manifest.tasks.items() if run.outcome == "ran"},
        "files": dict(manifest.files),
        "versions": {name: stored.handle(name).version for name, stored in manifest.handles.items()},
        "rows": rows,
    }


def causes(store: Path, names: list[str]) -> dict[str, str]:
    """The root cause that `why` names for each task."""
    import codeintel  # noqa: PLC0415 - as above

    return {name: codeintel.why(store, name).chain[-1].cause for name in names}


def pipeline_build(request: Facts) -> Callable[[Path], Any]:
    from flows.pipeline import PIPELINE  # noqa: PLC0415 - as above  # pyrefly: ignore[missing-import]

    import codeintel  # noqa: PLC0415 - as above

    wanted: Facts = {"jobs": 1, **request.get("settings", {})}
    settings = codeintel.Settings(**wanted)
    return lambda store: codeintel.build_pipeline(
        PIPELINE, store, settings=settings, parameters={"threshold": 5, **request.get("parameters", {})}
    )


def repository_build(request: Facts) -> Callable[[Path], Any]:
    import codeintel  # noqa: PLC0415 - as above

    settings: Facts = {"jobs": 1, "bucket_count": 4, **request.get("settings", {})}
    return lambda store: codeintel.build(Path("repository"), store=store, **settings)


def hamilton_values(request: Facts, store: Path) -> Facts:
    """What every node gives with Hamilton's cache in `store`; the source is recomputed each time, as it advises."""
    from flows.nodes import ANALYSES, items  # noqa: PLC0415 - as above  # pyrefly: ignore[missing-import]
    from hamilton import ad_hoc_utils, driver  # noqa: PLC0415 - as above

    # Neither a partial nor an argument by keyword alone makes a node.
    nodes = {n: f for n, f in ANALYSES.items() if inspect.isfunction(f) and not f.__kwdefaults__}
    for name, function in nodes.items():
        function.__name__ = name
    module = ad_hoc_utils.create_temporary_module(items, *nodes.values())
    names: list[Any] = list(nodes)
    dr = driver.Builder().with_modules(module).with_cache(path=str(store), recompute=["items"]).build()
    given = {"threshold": 5, **request.get("parameters", {})}
    try:
        return {"rows": dr.execute(names, inputs=given)}
    except Exception as error:  # noqa: BLE001 - whatever a damaged cache makes of it is what is measured
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    request: Facts = json.loads(sys.argv[1])
    os.environ.update(request.get("environment", {}))  # noqa: TID251 - what is built may read it
    sys.path[:0] = [".", "site"]
    patched(request)
    store, clean = Path(request["store"]), request.get("clean")
    if request["engine"] == "hamilton":
        found = {"built": hamilton_values(request, store)}
        if clean:
            found["clean"] = hamilton_values(request, Path(clean))
    else:
        build = {"pipeline": pipeline_build, "repository": repository_build}[request["engine"]](request)
        found = {"built": facts_of(build, store)}
        if request.get("clean") and "error" not in found["built"]:
            found["causes"] = causes(store, request.get("ask") or found["built"]["ran"])
        if clean:
            found["clean"] = facts_of(build, Path(clean))
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)  # threads of an engine that is being taken down may abort the process


if __name__ == "__main__":
    main()
