"""What commands show: progress, tables and lines for people, rows and JSON for programs.

JSON goes to stdout alone; progress and errors go to stderr, where they do not disturb it.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # `--help` must not wait for engines
    import pyarrow as pa

    from codeintel.api import BuildResult, Watch
    from codeintel.many import Outcome
    from codeintel.relspec.plan_diff import PlanDiff

out, err = Console(), Console(stderr=True)
SHOWN_ROWS = 200
MOST_COLUMNS = 10_000


class Format(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    arrow = "arrow"


def say(text: str) -> None:
    """One line for people, on stderr."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watching(as_json: bool) -> Iterator[Watch]:
    """On a terminal a bar of tasks, and one of files while they are extracted; elsewhere nothing."""
    from codeintel.api import Watch  # noqa: PLC0415 - see the top

    if as_json or not err.is_terminal:
        yield Watch()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as progress:
        tasks = progress.add_task("tasks", total=None, rate="")
        files = progress.add_task("files", total=None, rate="", visible=False)

        def extracted(_task: str, done: int, total: int) -> None:
            elapsed = progress.tasks[files].elapsed or 0.0
            rate = f"{done / elapsed:,.0f} files/s" if done and elapsed else ""
            progress.update(files, total=total, completed=done, rate=rate, visible=True)

        yield Watch(
            progress=extracted,
            event=lambda event: progress.advance(tasks) if event.kind in ("ran", "failed", "skipped") else None,
            planned=lambda plan: progress.update(tasks, total=len(plan.tasks)),
        )


def tell(result: BuildResult, as_json: bool) -> None:
    """What a build did: its tables and counts on stdout, what went wrong on stderr."""
    if as_json:
        write_json(asdict(result))
        return
    if result.tables:
        table = Table(box=None, pad_edge=False)
        table.add_column("table")
        table.add_column("rows", justify="right")
        table.add_column("version", justify="right")
        for name, facts in sorted(result.tables.items()):
            table.add_row(name, f"{facts['rows']:,}", str(facts["version"]))
        out.print(table)
    files, tasks = result.files, result.tasks
    broken = files["recovered"] + files["failed"]
    recovered = f"{files['recovered']:,} recovered, " if files["recovered"] else ""
    did = (
        f"{result.status}: {files['total']:,} files, {files['extracted']:,} extracted, {recovered}"
        f"{files['failed']:,} failed; "
        f"{tasks['ran']} of {tasks['planned']} tasks ran, {tasks['reused']} reused, {tasks['failed']} failed, "
        f"{tasks['skipped']} skipped; {result.wall_s:.1f} s, "
        f"{result.cpu_s:.1f} CPU s, {result.peak_rss_mb:,.0f} MB"
    )
    print_lines([did])
    for name, message in sorted(result.errors.items()):
        say(f"failed {name}: {message}")
    for name, became in result.telemetry.items():
        if became.startswith("failed"):
            say(f"{name} {became}")
    for name, message in sorted(result.warnings.items()):
        say(f"warning {name}: {message}")
    by_reason: dict[str, list[str]] = {}
    for name, reason in result.skipped.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in sorted(by_reason.items()):
        say(f"skipped ({reason}): {', '.join(sorted(names))}")
    if result.status != "ok":
        say("nothing was published; the run before stays current")
    if result.status == "failed" and not result.errors and broken:
        asked = f"codeintel sql --run {result.run_id} 'SELECT * FROM extract_errors'"  # noqa: S608 - for people
        say(f"--strict asks for files without errors; what is wrong: {asked}")
    if result.status == "failed" and not result.errors and result.warnings:
        say("--strict asks for no broken contracts")
    if result.status == "ok" and broken:
        say("what is wrong with files: codeintel sql 'SELECT * FROM extract_errors'")


def tell_many(outcomes: list[Outcome], listed: int, as_json: bool) -> None:
    """What became of many repositories: a row each, and a line for all."""
    statuses = [outcome.status for outcome in outcomes]
    counts = {name: statuses.count(name) for name in ("done", "unchanged", "failed")}
    if as_json:
        rows = [{"status": o.status, "reason": o.reason, **asdict(o)} for o in outcomes]
        write_json({"listed": listed, **counts, "repositories": rows})
        return
    header = ("repository", "status", "files", "broken", "rows", "wall s", "CPU s", "MB", "reason")
    rows = []
    for o in outcomes:
        figures: tuple[Any, ...] = ("", "", "", "", "", "")
        if (r := o.result) is not None:
            broken, held = r.files["recovered"] + r.files["failed"], sum(t["rows"] for t in r.tables.values())
            figures = (
                r.files["total"],
                broken,
                f"{held:,}",
                f"{r.wall_s:.1f}",
                f"{r.cpu_s:.1f}",
                f"{r.peak_rss_mb:.0f}",
            )
        rows.append((o.name, o.status, *figures, o.reason))
    print_rows(header, rows)
    told = f"{counts['done']:,} done, {counts['unchanged']:,} unchanged, {counts['failed']:,} failed"
    print_lines([f"{told}, of {listed:,}"])


def write_json(value: Any) -> None:  # Any: whatever msgspec can encode
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode() + "\n")


def diff_lines(found: PlanDiff) -> Iterator[str]:
    yield from (f"+ {name}" for name in found.added)
    yield from (f"- {name}" for name in found.removed)
    yield from (f"~ {change.name}: {', '.join(change.parts)}" for change in found.changed)
    yield from (f"+ {source} → {reader}" for source, reader in found.edges_added)
    yield from (f"- {source} → {reader}" for source, reader in found.edges_removed)
    if not found:
        yield "the plan is that of the current run"


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def print_rows(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """A table as wide as the terminal; in a pipe as wide as its rows, so that what is cut out of it is whole."""
    table = Table(box=None, pad_edge=False)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    (out if out.is_terminal else Console(width=MOST_COLUMNS)).print(table)


def print_entry(entry: Mapping[str, Any]) -> None:  # Any: see `semantic_registry.Entry`
    """One public table of the catalog: its tags, its promises, what it is made from, and its columns."""
    rows = (
        "not published" if entry["rows"] is None else f"{entry['rows']:,} rows, Delta version {entry['delta_version']}"
    )
    print_lines([
        f"{entry['semantic_id']}: {entry['grain']}",
        f"{rows}; {entry['stability']}; entity {entry['entity']}; node {entry['node_name']}",
        f"keys: {', '.join(entry['entity_keys'])}; joins by: {', '.join(entry['join_keys'])}",
        f"made from: {', '.join(entry['upstream_tables']) or 'nothing else'}",
        f"promises ({entry['severity']}): {'; '.join(entry['rules']) or 'nothing but its types'}",
        "",
    ])  # fmt: skip
    columns = [
        (c["name"], c["type"], "yes" if c["nullable"] else "", c["unit"], c["meaning"]) for c in entry["columns"]
    ]
    print_rows(("column", "type", "null", "unit", "meaning"), columns)


def _distinct(names: list[str]) -> list[str]:
    """Column names as they are, a repeated one with the number of its place: `kind`, `kind_2`."""
    return [f"{n}_{names[: i + 1].count(n)}" if n in names[:i] else n for i, n in enumerate(names)]


def write_rows(found: pa.Table, form: Format) -> None:
    found = found.rename_columns(_distinct(found.schema.names))
    match form:
        case Format.json:
            write_json(found.to_pylist())
        case Format.csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(found.schema.names)
            for batch in found.to_batches():
                writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        case Format.arrow:
            import pyarrow as pa  # noqa: PLC0415 - as above

            with pa.ipc.new_stream(sys.stdout.buffer, found.schema) as stream:
                stream.write_table(found)
        case Format.table:
            shown = found.slice(0, SHOWN_ROWS)
            print_rows(
                tuple(found.schema.names), list(zip(*(column.to_pylist() for column in shown.columns), strict=True))
            )
            if found.num_rows > SHOWN_ROWS:
                say(f"{SHOWN_ROWS} of {found.num_rows:,} rows; all of them with --format csv, json or arrow")
