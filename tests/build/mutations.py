"""Kinds of change, each with what it may disturb and the root cause that `why` has to name for it.

A mutation is made to a copy of one base: a folder that has been built, beside its store. Then there are three builds,
each a process of its own: one into that store and one into an empty one, which must agree, and one after the change is
undone, which must reuse everything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tests.build.mutable import FLOWS, HAMILTON, REPOSITORY

Engine = Literal["pipeline", "repository"]
Facts = dict[str, Any]  # what one_build tells
Change = Callable[[Path], None]

SOURCES = frozenset({"items", "prices", "repo_files", "node_kinds", "external_file"})
"""Tasks that run at every build."""
ANY = frozenset({"*"})


@dataclass(frozen=True)
class Mutation:
    """`disturbs` names the tables that may be computed anew (`*`: any); empty, nothing may but a source.

    `change` edits the folder, `damage` the store, `asks` what one_build is asked for. `cause` is what the root cause of
    everything that ran has to match. `hamilton`: whether Hamilton has nodes for it.
    `open` says why the kind is not expected to be right yet.
    """

    name: str
    engine: Engine
    disturbs: frozenset[str]
    cause: str
    change: Change | None = None
    damage: Change | None = None
    asks: Mapping[str, Any] = field(default_factory=dict)
    hamilton: bool = True
    open: str = ""


@dataclass(frozen=True)
class Found:
    """What came of one mutation. `stale` names tables that a clean build has otherwise, or says what failed."""

    stale: tuple[str, ...]
    ran: tuple[str, ...]
    too_much: tuple[str, ...]
    too_little: bool
    not_undone: tuple[str, ...]
    wrong_causes: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return not (self.stale or self.too_much or self.too_little or self.not_undone or self.wrong_causes)


def edit(file: str, *pairs: tuple[str, str]) -> Change:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        for old, new in pairs:
            assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
            text = text.replace(old, new)
        (folder / file).write_text(text)

    return change


def write(files: Mapping[str, str | bytes]) -> Change:
    def change(folder: Path) -> None:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def remove(file: str) -> Change:
    return lambda folder: (folder / file).unlink()


def move(old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / old).rename(folder / new)

    return change


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def upgraded(module: str, distribution: str) -> Change:
    """Version 2.0 of an installed library, whose module has another factor."""

    def change(folder: Path) -> None:
        old, new = (folder / f"site/{distribution}-{version}.dist-info" for version in ("1.0", "2.0"))
        old.rename(new)
        (new / "METADATA").write_text((new / "METADATA").read_text().replace("1.0", "2.0"))
        code = folder / f"site/{module}.py"
        code.write_text(code.read_text().replace("FACTOR = 2", "FACTOR = 5"))

    return change


PRICES = pa.table({"product": [1, 2, 3], "price": [20, 5, 30], "note": ["a", "b", "c"]})


def prices(rows: pa.Table) -> Change:
    return lambda folder: pq.write_table(rows, folder / "prices.parquet")


def unreadable(file: str) -> Change:
    """A pipe has the name of the file: nobody, root included, reads it."""

    def change(folder: Path) -> None:
        (folder / file).unlink()
        os.mkfifo(folder / file)

    return change


def object_of(table: str, damage: Change) -> Change:
    """Damage the objects of one table."""

    def change(store: Path) -> None:
        manifest = json.loads((store / "runs" / (store / "current").read_text() / "manifest.json").read_bytes())
        for part in manifest["handles"][table]["partitions"].values():
            damage(store / "objects" / part["version"][:2] / f"{part['version']}.{part['format']}")

    return change


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def results(damage: Change) -> Change:
    def change(store: Path) -> None:
        file = store / "cache/results.sqlite"
        if file.exists():
            sqlite3.connect(file).execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            damage(file)

    return change


def manifests_of_old_runs(store: Path) -> None:
    for file in store.glob("runs/*/manifest.json"):
        if file.parent.name != (store / "current").read_text():
            file.unlink()


PLAIN = frozenset({"plain"})
HELPED = frozenset({"helped", "after", "big", "biggest"})
PY = "pipeline"
CODE = r"(module {0} changed|code of .*{1}\b.* changed)"

PYTHON: tuple[Mutation, ...] = (
    Mutation("function body", PY, PLAIN, CODE.format("flows.plain", "plain"),
             edit("flows/plain.py", ("v + 1", "v + 2"))),
    Mutation("helper", PY, HELPED, "module flows.helper changed", edit("flows/helper.py", ("* 2", "* 3"))),
    Mutation("helper of a helper", PY, HELPED, "module flows.deep changed", edit("flows/deep.py", ("v + 1", "v + 3"))),
    Mutation("constant of another module", PY, frozenset({"taxed"}), "module flows.rate changed",
             edit("flows/rate.py", ("3", "4"))),
    Mutation("method of a class", PY, frozenset({"methodical"}), "module flows.klass changed",
             edit("flows/klass.py", ("v * self", "1 + v * self"))),
    Mutation("class attribute", PY, frozenset({"methodical"}), "module flows.klass changed",
             edit("flows/klass.py", ("factor = 2", "factor = 5"))),
    Mutation("closure cell", PY, frozenset({"closed"}), "closure of .* changed",
             edit("flows/nodes.py", ("closing(2)", "closing(3)"))),
    Mutation("body of a closure", PY, frozenset({"closed"}), CODE.format("flows.closing", "closed"),
             edit("flows/closing.py", ("v * k", "v * k + 1"))),
    Mutation("default argument", PY, frozenset({"defaulted"}), "defaults of .* changed",
             edit("flows/nodes.py", ('"defaulted": defaulting(2)', '"defaulted": defaulting(3)'))),
    Mutation("keyword default", PY, frozenset({"keyworded"}), "defaults of .* changed",
             edit("flows/nodes.py", ("keywording(7)", "keywording(8)")), hamilton=False),
    Mutation("value given to a decorator", PY, frozenset({"decorated"}),
             f"({CODE.format('flows.decorated', 'decorated')}|closure of .* changed)",
             edit("flows/decorated.py", ("@times(3)", "@times(4)"))),
    Mutation("body of a decorator", PY, frozenset({"decorated", "wrapped"}), "module flows.times changed",
             edit("flows/times.py", ("* k for", "* k + 1 for"))),
    Mutation("wrapped function", PY, frozenset({"wrapped"}), CODE.format("flows.wrapped", "inner"),
             edit("flows/wrapped.py", ("v - 1", "v - 2"))),
    Mutation("argument of a partial", PY, frozenset({"partly"}), "(defaults|closure|arguments|code) of .* changed",
             edit("flows/nodes.py", ("factor=2", "factor=3")), hamilton=False),
    Mutation("body below a partial", PY, frozenset({"partly"}), CODE.format("flows.partly", "scaled_by"),
             edit("flows/partly.py", ("v * factor", "v + factor")), hamilton=False),
    Mutation("module imported in a function", PY, frozenset({"lazily"}), "module flows.lazy changed",
             edit("flows/lazy.py", ("v + 5", "v + 55"))),
    Mutation("module imported by name", PY, frozenset({"naming"}), "module flows.named changed",
             edit("flows/named.py", ("v + 6", "v + 66"))),
    Mutation("module beside the package", PY, frozenset({"beside"}), "(module|library) loose changed",
             write({"loose.py": "FACTOR = 3\n"})),
    Mutation("another module imported", PY, frozenset({"lazily"}), CODE.format("flows.lazily", "lazily"),
             edit("flows/lazily.py", ("flows.lazy import late", "flows.named import by_name as late"))),
    Mutation("library version", PY, frozenset({"library"}), "library fakelib changed", upgraded("fakelib", "fakelib")),
    Mutation("library whose distribution has another name", PY, frozenset({"other_name", "below"}),
             "library (otherlib|python-otherlib) changed", upgraded("otherlib", "python_otherlib")),
    Mutation("library below a library", PY, frozenset({"other_name", "below"}), "library (otherlib|belowlib) changed",
             upgraded("belowlib", "belowlib")),
    Mutation("class in a closure cell", PY, frozenset({"held_class"}), "(closure of .*|module flows.inward) changed",
             edit("flows/inward.py", ("v * 11", "v * 111"))),
    Mutation("module in a closure cell", PY, frozenset({"held_module"}), "(closure of .*|module flows.outward) changed",
             edit("flows/outward.py", ("v * 12", "v * 122"))),
    Mutation("module behind a package", PY, frozenset({"parted"}), "module flows.parts.part changed",
             edit("flows/parts/part.py", ("v + 13", "v + 133"))),
    Mutation("environment variable at import", PY, frozenset({"env_early"}), "environment variable FLOW_EARLY changed",
             asks={"environment": {"FLOW_EARLY": "3"}}),
    Mutation("Python version", PY, ANY, "python changed", asks={"python": "3.11.99"}),
    Mutation("engine version", PY, ANY, "(engine|library datafusion) changed",
             asks={"versions": {"datafusion": "55.9.9"}}),
    Mutation("build parameter", PY, frozenset({"tuned"}), "setting threshold changed",
             asks={"parameters": {"threshold": 6}}),
    Mutation("environment variable by item", PY, frozenset({"env_item"}), "environment variable FLOW_ITEM changed",
             asks={"environment": {"FLOW_ITEM": "3"}}),
    Mutation("environment variable by get", PY, frozenset({"env_get"}), "environment variable FLOW_GET changed",
             asks={"environment": {"FLOW_GET": "3"}}),
    Mutation("environment variable of a helper", PY, frozenset({"env_call"}), "environment variable FLOW_CALL changed",
             asks={"environment": {"FLOW_CALL": "3"}}),
    Mutation("comment in a helper", PY, frozenset[str](), "",
             edit("flows/deep.py", ("# one further", "# two lines\n\n    # further"))),
    Mutation("docstring of a helper", PY, frozenset[str](), "",
             edit("flows/helper.py", ('"""Twice."""', '"""Two times."""'), ('"""Scales."""\n', ""))),
    Mutation("formatting of a helper", PY, frozenset[str](), "",
             edit("flows/helper.py", ("step(v) * 2", "(\n        step( v )\n        * 2\n    )"))),
    Mutation("environment variable that nothing reads", PY, frozenset[str](), "",
             asks={"environment": {"FLOW_OTHER": "1"}}),
    Mutation("module that nothing reaches", PY, frozenset[str](), "", write({"flows/alone.py": "x = 1\n"})),
    Mutation("rows of a source changed", PY, ANY, r"\bitems\b.*", write({"items.json": "[1, 2, 3, 5]"})),
    Mutation("code of a source, same rows", PY, frozenset[str](), "",
             edit("flows/source.py", ("json.loads(", "list(json.loads("), ("read_text())", "read_text()))"))),
)  # fmt: skip
PLANS: tuple[Mutation, ...] = (
    Mutation("SQL text", PY, frozenset({"big", "biggest"}), "sql changed",
             edit("flows/pipeline.py", ("value > 4", "value > 6"))),
    Mutation("view on a view", PY, frozenset({"biggest"}), "sql changed",
             edit("flows/pipeline.py", ("max(value)", "min(value)"))),
    Mutation("column of a view renamed", PY, frozenset({"biggest"}), "sql changed",
             edit("flows/pipeline.py", ("max(value) AS value", "max(value) AS top"))),
    Mutation("column of a view renamed with its reader", PY, frozenset({"big", "biggest"}), "sql changed",
             edit("flows/pipeline.py", ("n, value FROM", "n, value AS size FROM"), ("max(value)", "max(size)"))),
    Mutation("schema of an analysis", PY, ANY, "(schema|module flows.rows) changed",
             edit("flows/rows.py", ('"value": pa.int64()', '"value": pa.int32()'))),
    Mutation("type of a column of a view", PY, frozenset({"big", "biggest"}), "sql changed",
             edit("flows/pipeline.py", ("SELECT n, value", "SELECT n, CAST(value AS DOUBLE) AS value"))),
    Mutation("key of a view", PY, frozenset({"keyed"}), "(contract|sql|schema|key) changed",
             edit("flows/pipeline.py", ("-- key: product", "-- key: price"))),
    Mutation("other table read by a view", PY, frozenset({"biggest"}), "(inputs|sql) changed",
             edit("flows/pipeline.py", ("FROM big", "FROM helped"))),
    Mutation("column added to a source", PY, frozenset({"dear", "keyed"}), "(schema|prices.*) changed",
             both(prices(PRICES.append_column("extra", pa.array([1, 2, 3]))),
                  edit("flows/pipeline.py", ('"note": pa.string()', '"note": pa.string(), "extra": pa.int64()')))),
    Mutation("type of a column of a source", PY, frozenset({"dear", "keyed"}), "schema changed|prices.* changed",
             both(edit("flows/pipeline.py", ('"price": pa.int64(), "note"', '"price": pa.int32(), "note"')))),
    Mutation("column of a source renamed", PY, frozenset({"dear", "keyed"}), "(schema|sql|inputs) changed",
             both(prices(PRICES.rename_columns(["product", "cost", "note"])),
                  edit("flows/pipeline.py", ('"price": pa.int64(), "note"', '"cost": pa.int64(), "note"'),
                       ("product, price FROM prices WHERE price", "product, cost AS price FROM prices WHERE cost"),
                       ('SELECT product, price FROM prices"', 'SELECT product, cost AS price FROM prices"')))),
    Mutation("key of a source", PY, frozenset({"dear", "keyed"}), "prices.* changed|(schema|key) changed",
             both(prices(PRICES.set_column(1, "price", pa.array([30, 20, 5]))),
                  edit("flows/pipeline.py", ('Table(PRICES, ("product",))', 'Table(PRICES, ("price",))')))),
    Mutation("contract", PY, frozenset({"dear"}), "contract changed",
             edit("flows/pipeline.py", ('"p", {},', '"p", {"price": "in euros"},'))),
    Mutation("nullability in a contract", PY, frozenset({"dear"}), "(contract|schema) changed",
             edit("flows/pipeline.py", ('pa.schema({"product": pa.int64(), "price": pa.int64()})',
                                        'pa.schema([pa.field("product", pa.int64(), False), ("price", pa.int64())])'))),
    Mutation("view published", PY, frozenset({"keyed"}), "contract changed|new",
             edit("flows/pipeline.py", ('{"dear", "keyed"}', '{"dear"}'))),
    Mutation("analysis added", PY, frozenset({"plain_again"}), "new",
             both(write({"flows/again.py": FLOWS["flows/plain.py"].replace("plain", "plain_again")}),
                  edit("flows/nodes.py", ('"plain": plain,', '"plain": plain, "plain_again": plain_again,'),
                       ("from flows.after", "from flows.again import plain_again\nfrom flows.after")))),
    Mutation("rows of a Parquet source changed", PY, frozenset({"dear", "keyed"}), r"\bprices\b.*",
             prices(PRICES.set_column(1, "price", pa.array([20, 5, 31])))),
    Mutation("rows of a source that no reader keeps", PY, frozenset({"dear", "keyed"}), r"\bprices\b.*",
             prices(PRICES.set_column(1, "price", pa.array([20, 6, 30])))),
    Mutation("rows of a source in another order", PY, frozenset[str](), "",
             prices(PRICES.take([2, 0, 1]))),
    Mutation("body of a function of SQL", PY, frozenset({"grown"}), "function gross changed",
             edit("flows/gross.py", ("value, 3", "value, 4"))),
    Mutation("comment in SQL", PY, frozenset[str](), "",
             edit("flows/pipeline.py", ("SELECT n, value FROM", "/* all */ SELECT  n,\\n value FROM -- of it\\n"))),
    Mutation("setting that no row depends on", PY, frozenset[str](), "", asks={"settings": {"jobs": 2}}),
)  # fmt: skip
DAMAGE: tuple[Mutation, ...] = (
    Mutation("object of an analysis corrupted", PY, ANY, "result lost|sql changed",
             edit("flows/pipeline.py", ("value > 4", "value > 6")), object_of("helped", flipped)),
    Mutation("object truncated", PY, frozenset({"plain"}), "result lost", damage=object_of("plain", truncated)),
    Mutation("object missing", PY, HELPED, "result lost", damage=object_of("helped", Path.unlink)),
    Mutation("object of a source missing", PY, frozenset[str](), "", damage=object_of("items", Path.unlink)),
    Mutation("metadata truncated", PY, ANY, "result lost", damage=results(truncated)),
    Mutation("metadata deleted", PY, ANY, "result lost", damage=results(Path.unlink)),
    Mutation("plan cache truncated", PY, frozenset[str](), "",
             damage=lambda store: truncated(store / "cache/plans.json")),
    Mutation("manifest of an old run deleted", PY, frozenset[str](), "", damage=manifests_of_old_runs),
    Mutation("table deleted", PY, frozenset[str](), "", damage=lambda store: shutil.rmtree(store / "tables/plain")),
)  # fmt: skip

SHOP = "repository/shop/prices.py"


def _file(name: str, change: Change, cause: str = "", **more: Any) -> Mutation:
    return Mutation(name, "repository", ANY if cause else frozenset(), cause, change, **more)


FILES: tuple[Mutation, ...] = (
    _file("file content", edit(SHOP, ('"tea": 3', '"tea": 4')),
          "file shop/prices.py changed"),
    _file("file: comment at its end", edit(SHOP, ("PRICES[good]\n", "PRICES[good]\n# end\n")),
          "file shop/prices.py changed"),
    _file("file: encoding line", edit("repository/latin.py", ("latin-1", "utf-8")), "file latin.py changed"),
    _file("file: byte order mark", lambda folder: write({SHOP: b"\xef\xbb\xbf" + (folder / SHOP).read_bytes()})(folder),
          "file shop/prices.py changed"),
    _file("file: line endings",
          lambda folder: write({SHOP: (folder / SHOP).read_bytes().replace(b"\n", b"\r\n")})(folder),
          "file shop/prices.py changed"),
    _file("file added", write({"repository/shop/new.py": "from shop import Cart\n"}), "file shop/new.py added"),
    _file("file deleted", remove(SHOP), "file shop/prices.py deleted"),
    _file("file renamed", move(SHOP, "repository/shop/costs.py"),
          "file shop/(prices.py deleted|costs.py added)"),
    _file("file renamed in case", move(SHOP, "repository/shop/Prices.py"),
          "file shop/([pP])rices.py (deleted|added)"),
    _file("file moved between packages", move(SHOP, "repository/store/prices.py"),
          "file (shop/prices.py deleted|store/prices.py added)"),
    _file("package moved", move("repository/shop", "repository/market"), "file (shop|market)/.* (deleted|added)"),
    _file("file made unreadable", unreadable(SHOP), "file shop/prices.py changed"),
    _file("file made a link", both(remove(SHOP), lambda folder: (folder / SHOP).symlink_to("cart.py")),
          "file shop/prices.py deleted"),
    _file("syntax broken", edit(SHOP, ("def price(", "def price((")), "file shop/prices.py changed"),
    _file("syntax mended", write({"repository/bad.py": "def f():\n    pass\n"}), "file bad.py changed"),
    _file("file emptied", write({SHOP: ""}), "file shop/prices.py changed"),
    _file("package no longer one", remove("repository/shop/__init__.py"), "file shop/__init__.py deleted"),
    _file("file that is not Python", write({"repository/notes.txt": "x"})),
    _file("ignore file", write({"repository/.gitignore": "tools/\n"}), "file tools/.* deleted"),
    _file("touched", lambda folder: os.utime(folder / SHOP, (1, 1))),
    _file("setting exclude", lambda _: None, "setting exclude changed|file tools/.* deleted",
          asks={"settings": {"exclude": ["tools/"]}}),
    _file("setting include", lambda _: None, "setting include changed|file tools/script.pyx added",
          asks={"settings": {"include": ["*.pyx"]}}),
    _file("setting max_file_bytes", lambda _: None, "setting max_file_bytes changed",
          asks={"settings": {"max_file_bytes": 40}}),
    _file("setting bucket_count", lambda _: None, "setting bucket_count changed",
          asks={"settings": {"bucket_count": 8}}),
    _file("facts corrupted", edit(SHOP, ('"tea": 3', '"tea": 4')), "file shop/prices.py changed|result lost",
          damage=object_of("ast_nodes", flipped)),
    _file("facts missing", lambda _: None, "result lost", damage=object_of("ast_nodes", Path.unlink)),
    _file("checkpoint of nothing but logs",
          lambda _: None, damage=lambda store: shutil.rmtree(store / "tables/cpg_nodes/_delta_log")),
)  # fmt: skip

MUTATIONS = (*PYTHON, *PLANS, *DAMAGE, *FILES)


def make_base(folder: Path, engine: Engine) -> Facts:
    """Build what `engine` builds, twice, so that there is an old run; what the second build told."""
    folder.mkdir(parents=True)
    if engine == "pipeline":
        write(FLOWS)(folder)
        prices(PRICES)(folder)
    else:
        write({f"repository/{name}": text for name, text in REPOSITORY.items()})(folder)
    first = built(folder, engine)
    assert "error" not in first["built"], first
    return built(folder, engine)["built"]


ENVIRONMENT = {"FLOW_ITEM": "2"}


def built(folder: Path, engine: str, asks: Mapping[str, Any] = {}, **more: Any) -> Facts:
    """What one process told that built `folder` into the store beside it."""
    request = {"engine": engine, "store": "store", **asks, **more}
    kept = ("PATH", "HOME", "PYTHONPATH", "LANG")
    environment = {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251 - a child's
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "HAMILTON_AUTOLOAD_EXTENSIONS": "0", **ENVIRONMENT}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("one_build.py")), json.dumps(request)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return {"built": {"error": done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"}}
    return json.loads(done.stdout)


def tried(mutation: Mutation, base: Path, before: Facts, work: Path) -> Found:
    """Make the change to a copy of `base` below `work`, build, undo it, build."""
    folder = work / "changed"
    copied(base, folder)
    if mutation.damage:
        mutation.damage(folder / "store")
    if mutation.change:
        mutation.change(folder)
    told = built(folder, mutation.engine, mutation.asks, clean="clean")
    after, clean = told["built"], told.get("clean", {})
    if problem := after.get("error") or clean.get("error"):
        return Found((problem,), (), (), False, (), {})
    ran = computed(after["ran"])
    allowed = set(ran) if mutation.disturbs == ANY else mutation.disturbs
    restored(base, folder)
    undone = built(folder, mutation.engine)["built"]
    if "error" in undone:
        not_undone: tuple[str, ...] = (undone["error"],)
    else:
        not_undone = (*computed(undone["ran"]), *different(undone, before))
    wrong = {n: c for n, c in told.get("causes", {}).items() if computed([n]) and not re.search(mutation.cause, c)}
    return Found(
        different(after, clean), ran, tuple(sorted(set(ran) - allowed)),
        bool(mutation.disturbs) and not ran, not_undone, wrong,
    )  # fmt: skip


def computed(ran: list[str]) -> tuple[str, ...]:
    """Tables that were computed: sources always are, and publishing is no computing."""
    return tuple(sorted({name.removesuffix("_v1") for name in ran} - SOURCES))


def different(one: Facts, other: Facts) -> tuple[str, ...]:
    """Tables whose data version or rows differ."""
    found = set()
    for part in ("versions", "rows"):
        found |= {n for n in one[part].keys() | other[part].keys() if one[part].get(n) != other[part].get(n)}
    return tuple(sorted(found))


def copied(base: Path, folder: Path) -> None:
    """A copy in which two names of one file still are one file, as objects and tables are."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(base), str(folder)], check=True)


def restored(base: Path, folder: Path) -> None:
    """Everything but the store is again as in `base`."""
    for entry in folder.iterdir():
        if entry.name not in ("store", "clean"):
            (shutil.rmtree if entry.is_dir() else os.unlink)(entry)
    for entry in base.iterdir():
        if entry.name != "store":
            (shutil.copytree if entry.is_dir() else shutil.copy2)(entry, folder / entry.name)


def make_hamilton_base(folder: Path) -> None:
    folder.mkdir(parents=True)
    write(HAMILTON)(folder)
    told = built(folder, "hamilton")
    assert "error" not in told["built"], told


def blobs(damage: Change) -> Change:
    def change(store: Path) -> None:
        for file in store.glob("*/*"):
            damage(file)

    return change


HAMILTON_DAMAGE: Mapping[str, Change] = {
    "object truncated": blobs(truncated),
    "object missing": blobs(Path.unlink),
    "metadata truncated": lambda store: truncated(store / "metadata_store.db"),
    "metadata deleted": lambda store: (store / "metadata_store.db").unlink(),
}
"""The same damage to what Hamilton keeps."""


def stale_in_hamilton(mutation: Mutation, base: Path, work: Path) -> bool | None:
    """Whether Hamilton's own cache gives something else than an empty one after the change, or fails.

    `base` is a folder of `HAMILTON` that was run once. None if the change has no meaning there.
    """
    damage = HAMILTON_DAMAGE.get(mutation.name)
    if not damage and (mutation not in PYTHON or not mutation.hamilton):
        return None
    folder = work / "changed"
    copied(base, folder)
    if damage:
        damage(folder / "store")
    elif mutation.change:
        mutation.change(folder)
    told = built(folder, "hamilton", mutation.asks, clean="clean")
    if "rows" not in told.get("clean", {}):
        return True
    return told["built"] != told["clean"]
