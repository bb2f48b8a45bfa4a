"""The command line: the one place that reads arguments, the environment and the working directory."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from gc import set_threshold
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from codeintel.errors import CodeintelError, RunError, UsageError, nearest
from codeintel.settings import Settings, load_settings
from codeintel.terminal import (
    Format,
    diff_lines,
    out,
    print_entry,
    print_lines,
    print_rows,
    say,
    tell,
    tell_many,
    watching,
    write_json,
    write_rows,
)

app = typer.Typer(
    name="codeintel",
    help="A code property graph of a Python repository as Delta tables, kept exactly right as the code changes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class ExportForm(StrEnum):
    json = "json"


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        sys.stdout.write(f"codeintel {metadata.version('codeintel')}\n")
        raise typer.Exit


# Whether a path can be read is told by who reads it, in one line.
Store = Annotated[
    Path | None,
    typer.Option("--store", readable=False, help="The store; `.codeintel` in the repository by default."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Repository = Annotated[
    Path, typer.Argument(readable=False, help="The repository: any directory that holds Python files.")
]
Targets = Annotated[list[str] | None, typer.Option(help="Build this table and what it needs; may be repeated.")]
Views = Annotated[
    list[Path] | None, typer.Option(readable=False, help="Folder of SQL files to plan and run too; may be repeated.")
]
Analyses = Annotated[
    list[str] | None, typer.Option(help="Module, installed or here, whose analyses to run too; may be repeated.")
]
Include = Annotated[list[str] | None, typer.Option(help="Gitignore pattern of further files to scan.")]
Run = Annotated[str | None, typer.Option(help="Another run than the current one.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Gitignore pattern of files not to scan.")]
Jobs = Annotated[int | None, typer.Option(help="Worker processes; all usable CPUs by default.")]
Executor = Annotated[str | None, typer.Option(help="Where tasks run: `local`, `hamilton` or `ray`.")]
RayAddress = Annotated[str | None, typer.Option(help="Ray cluster for `--executor ray`; one of its own by default.")]
MemoryLimit = Annotated[int | None, typer.Option(help="Megabytes the build should stay below.")]
Strict = Annotated[bool | None, typer.Option("--strict", help="Extraction errors and warnings fail the build.")]
Wait = Annotated[float | None, typer.Option(help="Seconds to wait for a store that another build holds.")]


def _settings(repository: Path, flags: Mapping[str, Any]) -> Settings:
    repository = Path(os.path.realpath(repository))
    declared: dict[str, Any] = {}
    file = repository / "pyproject.toml"
    try:
        is_there = file.is_file()
    except OSError:  # a directory that nobody may look into is for the command to tell
        is_there = False
    if is_there:
        try:
            declared = tomllib.loads(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            text = f"warning: settings in {file} are not read: {reason}"
            say(text)
    return _given_settings(repository, flags, declared)


def _given_settings(repository: Path, flags: Mapping[str, Any], declared: Mapping[str, Any]) -> Settings:
    given = {name: value or None if isinstance(value, list) else value for name, value in flags.items()}
    settings = load_settings(given, os.environ, declared, repository=repository)  # noqa: TID251 - the one reader of it
    if settings.analyses:
        # Last, so that nothing there stands in for an installed module.
        sys.path.append(str(Path.cwd()))  # noqa: TID251 - the one reader of it
    elif "jobs" in flags:
        # Nothing else here multiplies matrices, and a pool of threads for it costs every process.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251 - read by numpy when it is imported
    return settings


@app.command()
def build(
    path: Repository = Path(),
    store: Store = None,
    targets: Targets = None,
    views: Views = None,
    analyses: Analyses = None,
    include: Include = None,
    exclude: Exclude = None,
    jobs: Jobs = None,
    executor: Executor = None,
    ray_address: RayAddress = None,
    memory_limit: MemoryLimit = None,
    strict: Strict = None,
    wait: Wait = None,
    track: Annotated[bool | None, typer.Option("--track", help="Record the run for the Hamilton UI.")] = None,
    openlineage: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="Send the run there as OpenLineage events.")
    ] = None,
    opentelemetry: Annotated[
        bool | None, typer.Option("--opentelemetry", help="Send the run as spans, by the OTEL_* variables.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build the graph of a repository, and tell what came of it.

    The tables are Delta tables below [bold].codeintel/tables[/bold]; ask them with [bold]codeintel sql[/bold].

    Exit codes: 0 done; 1 a task failed or a contract was broken; 2 wrong use; 3 store busy or unreadable;
    130 interrupted.
    """
    from codeintel.api import BuildInterruptedError, build  # noqa: PLC0415 - `--help` must not wait for engines

    settings = _settings(
        path,
        {
            "store": store,
            "targets": targets,
            "views": views,
            "analyses": analyses,
            "include": include,
            "exclude": exclude,
            "jobs": jobs,
            "executor": executor,
            "ray_address": ray_address,
            "memory_limit": memory_limit,
            "strict": strict,
            "wait": wait,
            "track": track,
            "openlineage": openlineage,
            "opentelemetry": opentelemetry,
        },
    )
    try:
        with watching(as_json) as watch:
            result = build(path, settings=settings, watch=watch)
    except BuildInterruptedError as interrupted:
        tell(interrupted.result, as_json)
        _leave(130)
    tell(result, as_json)
    if result.status != "ok":
        raise typer.Exit(1)


@app.command()
def build_many(
    listed: Annotated[
        Path, typer.Argument(metavar="LIST", readable=False, help="A file of paths, or a folder of repositories.")
    ],
    store_root: Annotated[Path, typer.Option(readable=False, help="Folder with a store for each of them.")],
    targets: Targets = None,
    views: Views = None,
    analyses: Analyses = None,
    include: Include = None,
    exclude: Exclude = None,
    jobs: Jobs = None,
    executor: Executor = None,
    ray_address: RayAddress = None,
    memory_limit: MemoryLimit = None,
    strict: Strict = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Build many repositories with the same workers, each into a store of its own, and tell what came of each.

    What is wrong with one stops no other, and the same command again does only what is missing. All are built with the
    settings given here, whatever their own pyproject.toml says; ask them together with [bold]codeintel sql
    --store-root[/bold].

    Exit codes: 0 all done; 1 some failed; 2 wrong use; 130 interrupted.
    """
    from codeintel.api import BuildInterruptedError  # noqa: PLC0415 - `--help` must not wait for engines
    from codeintel.many import Outcome, build_many, repositories  # noqa: PLC0415 - as above

    given = {
        "targets": targets, "views": views, "analyses": analyses, "include": include, "exclude": exclude, "jobs": jobs,
        "executor": executor, "ray_address": ray_address, "memory_limit": memory_limit, "strict": strict, "wait": wait,
    }  # fmt: skip
    settings = _given_settings(Path(), given, {})
    found = repositories(listed, store_root)
    outcomes: list[Outcome] = []

    def told(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if not as_json:
            say(f"{len(outcomes)} of {len(found)} {outcome.name}: {outcome.status} {outcome.reason}".rstrip())

    try:
        build_many(found, store_root, settings=settings, told=told)
    except BuildInterruptedError:
        tell_many(outcomes, len(found), as_json)
        _leave(130)
    tell_many(outcomes, len(found), as_json)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def plan(
    path: Repository = Path(),
    store: Store = None,
    targets: Targets = None,
    views: Views = None,
    analyses: Analyses = None,
    include: Include = None,
    exclude: Exclude = None,
    diff: Annotated[bool, typer.Option("--diff", help="What differs from the plan of the current run.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the plan as one offline page.")] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="The graph as a Mermaid diagram.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compile the plan and show what would run, in what order and why. Runs nothing."""
    from codeintel import api  # noqa: PLC0415 - as above
    from codeintel.relspec import plan_diff, plan_page, plan_rendering  # noqa: PLC0415 - as above

    settings = _settings(
        path,
        {
            "store": store,
            "targets": targets,
            "views": views,
            "analyses": analyses,
            "include": include,
            "exclude": exclude,
        },
    )
    compiled = api.compile_plan(path, settings=settings)
    actions = api.plan_actions(path, compiled, settings)
    if html is not None:
        _write(html, plan_page.plan_page(compiled, f"Plan of {Path(os.path.realpath(path)).name}", actions))
        say(f"wrote {html}")
    elif diff:
        found = plan_diff.diff_plans(api.plan_of_run(Path(os.path.realpath(settings.store))), compiled)
        if as_json:
            write_json(asdict(found))
        else:
            print_lines(diff_lines(found))
    elif as_json:
        write_json(plan_rendering.plan_document(compiled, actions))
    elif mermaid:
        sys.stdout.write(plan_rendering.mermaid(compiled))
    else:
        print_lines(plan_rendering.plan_text(compiled, out.width, actions))


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help="A SELECT over the tables of the current run, or `-` to read it from stdin.")
    ],
    store: Store = None,
    store_root: Annotated[
        Path | None, typer.Option(readable=False, help="Ask all stores below; a column `repository` tells them apart.")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Another run than the current one.")] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Also the run's artifacts: plan_tasks, task_runs, …")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="How rows are written to stdout.")] = Format.table,
    as_json: AsJson = False,
) -> None:
    """Ask the graph in read-only SQL.

    Example: [bold]codeintel sql "SELECT kind, count(*) AS n FROM cpg_nodes GROUP BY 1 ORDER BY 2 DESC LIMIT 5"[/bold]
    """
    import codeintel.api  # noqa: PLC0415 - as above

    text = sys.stdin.read() if query == "-" else query
    if store_root is not None and (store or run or artifacts):
        raise UsageError("--store-root asks for the current runs of all stores: no --store, --run or --artifacts")
    try:
        if store_root is not None:
            from codeintel.many import open_many  # noqa: PLC0415 - as above

            found = open_many(store_root).rows(text)
        else:
            found = codeintel.api.open(_store(store), run).rows(text, artifacts=artifacts)
    except KeyboardInterrupt:
        _leave(130)
    write_rows(found, Format.json if as_json else form)


Name = Annotated[str, typer.Argument(help="A qualified name, or the end of one: `pkg.mod.Class.method`, `method`.")]
Depth = Annotated[int, typer.Option(min=1, help="How many calls away.")]
Confidence = Annotated[float, typer.Option(min=0, max=1, help="Leave out what is less certain.")]


@app.command()
def callers(
    name: Name, store: Store = None, run: Run = None, depth: Depth = 1, confidence: Confidence = 0.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """List the calls of a function, method or class, with `path:line`."""
    import codeintel.api  # noqa: PLC0415 - as above

    found = codeintel.api.open(_store(store), run).callers(name, depth=depth, confidence=confidence)
    _tell_calls([asdict(site) for site in found], as_json)


@app.command()
def callees(
    name: Name, store: Store = None, run: Run = None, depth: Depth = 1, confidence: Confidence = 0.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """List what a function, method, class body or module calls, with `path:line`."""
    import codeintel.api  # noqa: PLC0415 - as above

    found = codeintel.api.open(_store(store), run).callees(name, depth=depth, confidence=confidence)
    _tell_calls([asdict(site) for site in found], as_json)


def _tell_calls(sites: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        write_json(sites)
        return
    if not sites:
        say("no call of it was found")
        return
    print_rows(
        ("place", "caller", "callee", "how", "confidence", "depth"),
        [
            (f"{s['path']}:{s['line']}", s["caller"], s["callee"], s["origin"], f"{s['confidence']:.2f}", s["depth"])
            for s in sites
        ],
    )


@app.command()
def refs(
    name: Name, store: Store = None, run: Run = None, confidence: Confidence = 0.0, as_json: AsJson = False
) -> None:
    """List where a variable, function, class or attribute is referred to, with `path:line`."""
    import codeintel.api  # noqa: PLC0415 - as above

    found = codeintel.api.open(_store(store), run).refs(name, confidence=confidence)
    if as_json:
        write_json([asdict(mention) for mention in found])
        return
    print_rows(
        ("place", "name", "node", "confidence"),
        [(f"{m.path}:{m.line}", m.name, m.kind, f"{m.confidence:.2f}") for m in found],
    )


@app.command()
def runs(store: Store = None, as_json: AsJson = False) -> None:
    """List the store's runs, the newest last; `*` marks the current one."""
    from codeintel.store.directory import open_store  # noqa: PLC0415 - as above
    from codeintel.store.runs import current_run, read_run, run_ids  # noqa: PLC0415 - as above

    place = open_store(_store(store))
    current = current_run(place)
    listed = [read_run(place, run_id) for run_id in run_ids(place)]
    rows = [
        {
            "run_id": run.run_id,
            "current": current is not None and run.run_id == current.run_id,
            "status": run.status,
            "started": run.started,
            "plan_signature": run.plan_signature,
            "files": run.files["total"],
            "wall_s": round(run.wall_s, 3),
            "cpu_s": round(run.cpu_s, 3),
        }
        for run in listed
    ]
    if as_json:
        write_json(rows)
        return
    print_rows(
        ("run", "", "status", "started", "files", "wall s", "plan"),
        [
            (
                r["run_id"],
                "*" if r["current"] else "",
                r["status"],
                r["started"],
                f"{r['files']:,}",
                f"{r['wall_s']:.1f}",
                str(r["plan_signature"])[:12],
            )
            for r in rows
        ],
    )


@app.command()
def why(
    name: Annotated[str, typer.Argument(help="A task, a table, or a file by its path in the repository.")],
    store: Store = None,
    run: Annotated[str | None, typer.Option(help="Another run than the current one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a table was computed, reused or skipped, down to the file, view, code or setting that changed.

    Example: [bold]codeintel why cpg_edges[/bold]
    """
    import codeintel.api  # noqa: PLC0415 - as above

    found = codeintel.api.why(_store(store), name, run)
    if as_json:
        write_json(asdict(found))
        return
    print_lines(f"{'  ' * depth}{step.name} {step.outcome}: {step.cause}" for depth, step in enumerate(found.chain))


@app.command()
def lineage(
    name: Annotated[str | None, typer.Argument(help="A task or table; all of them by default.")] = None,
    store: Store = None,
    run: Annotated[str | None, typer.Option(help="Another run than the current one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what every task of a run was made of: keys, data versions, what became of it and why."""
    from codeintel.hamilton_pipeline.cache_lineage import lineage_of  # noqa: PLC0415 - as above
    from codeintel.store.directory import open_store  # noqa: PLC0415 - as above
    from codeintel.store.runs import read_run  # noqa: PLC0415 - as above

    place = open_store(_store(store))
    manifest = read_run(place, run)
    rows = lineage_of(place, manifest.run_id)
    if name is not None:
        known = [row.node_name for row in rows]
        rows = [row for row in rows if row.node_name == name]
        if not rows:
            raise UsageError(f"no task {name!r} in run {manifest.run_id}; {nearest(name, known)}")
    if as_json:
        about = {"run_id": manifest.run_id, "plan_signature": manifest.plan_signature}
        write_json([about | row._asdict() for row in rows])
        return
    print_rows(
        ("task", "outcome", "data", "signature", "cause"),
        [(r.node_name, r.outcome, r.data_version[:12], r.task_signature[:12], r.cause) for r in rows],
    )


@app.command()
def report(
    store: Store = None,
    run: Annotated[str | None, typer.Option(help="Another run than the current one.")] = None,
    diff: Annotated[str | None, typer.Option(help="Also show what differs from this run.")] = None,
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("codeintel-report.html"),
    as_json: AsJson = False,
) -> None:
    """Write one offline page about a run: what ran and why, the plan, times, contracts, errors, the catalog.

    Needs the extra [bold]report[/bold]; --json tells the same without it and without a page.
    """
    from codeintel.reporting.page import report_page  # noqa: PLC0415 - as above
    from codeintel.reporting.run_report import report_facts  # noqa: PLC0415 - as above
    from codeintel.store.directory import open_store  # noqa: PLC0415 - as above
    from codeintel.store.runs import run_ids  # noqa: PLC0415 - as above

    place = open_store(_store(store))
    facts, drawing = report_facts(place, run, diff)
    if as_json:
        write_json(facts)
        return
    _write(output, report_page(facts, drawing))
    say(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")
    newest = run_ids(place)[-1]
    if run is None and newest != facts["run"]["id"]:
        say(f"that is the current run; a newer one was not complete: --run {newest}")


@app.command()
def catalog(
    name: Annotated[str | None, typer.Argument(help="A public table, told in full; all of them by default.")] = None,
    store: Store = None,
    run: Annotated[str | None, typer.Option(help="Another run than the current one.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Look for what is wrong with it; exit 1 if anything is.")
    ] = False,
    views: Views = None,
    analyses: Analyses = None,
    as_json: AsJson = False,
) -> None:
    """List the public tables: what a row is, its keys, what it is made from, its rows and version.

    Example: [bold]codeintel catalog cpg_nodes[/bold]; with [bold]--check[/bold] name the views and analyses too.
    """
    import codeintel.api  # noqa: PLC0415 - as above

    place = _store(store)
    if check:
        repository = codeintel.api.open(place).manifest.repository
        settings = _settings(Path(repository), {"store": place, "views": views, "analyses": analyses})
        faults = codeintel.api.catalog_faults(place, settings)
        if as_json:
            write_json({"ok": not faults, "faults": faults})
        else:
            print_lines(faults or ["the catalog is sound"])
        if faults:
            raise typer.Exit(1)
        return
    entries = codeintel.api.catalog(place, run)
    if name is not None:
        known = [entry["table"] for entry in entries]
        entries = [entry for entry in entries if name in (entry["table"], entry["semantic_id"])]
        if not entries:
            raise UsageError(f"no public table {name!r}; {nearest(name, known)}")
    if as_json:
        write_json(entries)
    elif name is not None:
        print_entry(entries[0])
    else:
        print_rows(
            ("table", "semantic id", "a row is", "key", "rows", "version", "stability"),
            [
                (e["table"], e["semantic_id"], e["grain"], ", ".join(e["entity_keys"]), e["rows"], e["delta_version"],
                 e["stability"])
                for e in entries
            ],
        )  # fmt: skip


@app.command()
def gc(
    store: Store = None,
    keep: Annotated[int, typer.Option(min=0, help="Newest runs to keep, besides the current one.")] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for a store that a build holds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove runs that are not to be kept, and everything that only they reached."""
    from codeintel.store.collection import collect  # noqa: PLC0415 - as above
    from codeintel.store.directory import open_store  # noqa: PLC0415 - as above

    settings = _settings(Path(), {"store": store, "wait": wait})
    place = open_store(Path(os.path.realpath(settings.store)))
    with place.writing(datetime.now(UTC), settings.wait):
        done = collect(place, keep, dry_run=dry_run)
    if as_json:
        write_json(asdict(done))
        return
    verb = "would remove" if dry_run else "removed"
    print_lines(
        [f"{verb} {len(done.runs)} runs and {done.files:,} files, {done.bytes / 1e6:,.1f} MB; {len(done.kept)} kept"]
    )


exports = typer.Typer(no_args_is_help=True, help="Hand a run to other tools.")
app.add_typer(exports, name="export")


@exports.command()
def callgraph(
    store: Store = None,
    run: Run = None,
    confidence: Confidence = 0.0,
    form: Annotated[ExportForm, typer.Option("--format", help="How it is written to stdout.")] = ExportForm.json,
) -> None:
    """Write the call graph: qualified names of callers, each with those it calls."""
    import codeintel.api  # noqa: PLC0415 - as above

    assert form is ExportForm.json
    write_json(codeintel.api.open(_store(store), run).callgraph(confidence=confidence))


@exports.command()
def openlineage(
    store: Store = None,
    run: Annotated[str | None, typer.Option(help="Another run than the current one.")] = None,
    output: Annotated[str, typer.Option(metavar="FILE|URL", help="A file to append to, or a URL; `-`: stdout.")] = "-",
) -> None:
    """Write a run as OpenLineage events, one JSON object a line, or send them.

    Example: [bold]codeintel export openlineage --output http://localhost:5000[/bold]
    """
    from codeintel.reporting.exports import check_installed, send_openlineage  # noqa: PLC0415 - as above
    from codeintel.reporting.finished_run import finished_run  # noqa: PLC0415 - as above
    from codeintel.store.directory import open_store  # noqa: PLC0415 - as above

    check_installed("openlineage")
    place = open_store(_store(store))
    settings = _settings(Path(), {"openlineage": "/dev/stdout" if output == "-" else output})
    _sent(lambda: send_openlineage(finished_run(place, run), place.root, settings.openlineage))


@exports.command()
def opentelemetry(
    store: Store = None,
    run: Annotated[str | None, typer.Option(help="Another run than the current one.")] = None,
) -> None:
    """Send a run as OpenTelemetry spans to where the OTEL_* variables say."""
    from codeintel.reporting.exports import check_installed, send_opentelemetry  # noqa: PLC0415 - as above
    from codeintel.reporting.finished_run import finished_run  # noqa: PLC0415 - as above
    from codeintel.store.directory import open_store  # noqa: PLC0415 - as above

    check_installed("opentelemetry")
    place = open_store(_store(store))
    _sent(lambda: send_opentelemetry(finished_run(place, run)))


def _sent(send: Callable[[], str]) -> None:
    """Say what was sent, or fail in one line: here sending is what was asked for."""
    try:
        say(send())
    except CodeintelError:
        raise
    except Exception as error:
        raise RunError(f"not sent: {type(error).__name__}: {str(error).strip().splitlines()[0][:300]}") from error


@app.command()
def ui(
    store: Store = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes any that is free.")] = 8241,
    data_dir: Annotated[
        Path | None, typer.Option(readable=False, help="Where the UI keeps its data; `ui` in the store by default.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open it in a browser.")] = True,
    as_json: AsJson = False,
) -> None:
    """Start the Hamilton UI for this machine alone, and print its address; Ctrl-C ends it.

    Builds made with [bold]codeintel build --track[/bold] appear in it.
    """
    from codeintel.hamilton_pipeline.ui_server import serve  # noqa: PLC0415 - as above
    from codeintel.store.directory import open_store  # noqa: PLC0415 - as above

    settings = _settings(Path(), {})
    place = data_dir or open_store(_store(store)).root / "ui"

    def started(address: str) -> None:
        if as_json:
            write_json({"address": address, "user": settings.hamilton_user})
        else:
            print_lines([f"Hamilton UI of {settings.hamilton_user!r} at {address}; Ctrl-C ends it"])
        sys.stdout.flush()
        if browser and sys.stdout.isatty():
            import webbrowser  # noqa: PLC0415 - no other command needs it

            webbrowser.open(address)

    serve(Path(os.path.realpath(place)), port, settings.hamilton_project, settings.hamilton_user, started)


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, "utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}") from None


def _store(given: Path | None) -> Path:
    """The store meant by --store, by the environment, or by the nearest directory upwards that has one."""
    here = Path.cwd()  # noqa: TID251 - the one reader of it
    meant = Path(os.path.realpath(_settings(here, {"store": given}).store))
    if meant == here / ".codeintel" and not meant.exists():
        return next((d / ".codeintel" for d in here.parents if (d / ".codeintel" / "store.json").is_file()), meant)
    return meant


def _leave(code: int) -> NoReturn:
    """Leave without waiting for threads, and without taking down what the system takes down faster.

    An engine that does not answer an interrupt must not hold the terminal.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> NoReturn:
    """Run the command line and exit with the code its help promises."""
    # Hamilton would import every dataframe library it finds; handles need none of them.
    os.environ.setdefault("HAMILTON_AUTOLOAD_EXTENSIONS", "0")  # noqa: TID251 - read by Hamilton when it is imported
    # The allocator of Arrow and DataFusion would clear 2 MB for the smallest table; workers inherit this.
    os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")  # noqa: TID251 - read by the allocator when it is loaded
    set_threshold(100_000)  # what a command makes is hardly ever in cycles, and looking for them takes 2 % of it
    try:
        app()
    except SystemExit as left:
        _leave(left.code if isinstance(left.code, int) else 0 if left.code is None else 1)
    except BrokenPipeError:  # `codeintel sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except CodeintelError as error:
        say(f"error: {error}")
        _leave(error.exit_code)
    _leave(0)
