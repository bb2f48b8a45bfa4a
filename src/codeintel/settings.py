"""Every setting of a build, in one place: its meaning, its default, where it may come from, and what it changes.

A setting comes from an argument, else from its `CODEINTEL_*` variable, else from `[tool.codeintel]` in the repository's
`pyproject.toml`, else it has its default. Reading those is `cli`'s work; this module is given them as values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from codeintel.errors import UsageError, nearest

PREFIX = "CODEINTEL_"

Changes = Literal["results", "tables", "nothing"]
# Takes what an argument, a variable or TOML holds, and the directory that relative paths are relative to. Raises
# ValueError with what would have been right.
Parser = Callable[[object, Path], object]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the documentation says about one setting, and how its value is read.

    `changes` is `results` if rows depend on it: it then enters the signature of each task that reads it. It is `tables`
    if it only decides which tables are built, and `nothing` if two builds that differ in it give the same store.
    """

    help: str
    parse: Parser
    changes: Changes
    default: str
    flag: bool


def usable_cpus() -> int:
    """How many CPUs this process may use, by its affinity and its control group's quota; at least one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        # Rounded up: a quota of one and a half CPUs still feeds two workers.
        return max(1, min(count, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no control groups, or "max"
        return count


def _text(value: object, _: Path) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _name(value: object, base: Path) -> str:
    if not (text := _text(value, base)):
        raise ValueError("must not be empty")
    return text


def _path(value: object, base: Path) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("must be a path")
    return base / value


def _many(parse: Parser) -> Parser:
    def parsed(value: object, base: Path) -> tuple[object, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            raise ValueError("must be a list")
        return tuple(parse(part, base) for part in value)

    return parsed


def _integer(least: int) -> Parser:
    def parsed(value: object, _: Path) -> int:
        number = int(value) if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() else value
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"must be a whole number of at least {least}")
        return number

    return parsed


def _seconds(value: object, _: Path) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError("must be a number of seconds, 0 or more")
    return number


def _switch(value: object, _: Path) -> bool:
    if isinstance(value, str):
        value = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False,
                 "off": False}.get(value.lower(), value)  # fmt: skip
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _url(value: object, base: Path) -> str:
    if not (text := _text(value, base)).startswith(("http://", "https://")):
        raise ValueError("must be a URL that begins with http:// or https://")
    return text


def _place(value: object, base: Path) -> str:
    text = _text(value, base) if not isinstance(value, Path) else str(value)
    return text if not text or text.startswith(("http://", "https://")) else str(base / text)


def _choice(*allowed: str) -> Parser:
    def parsed(value: object, _: Path) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return parsed


def _setting(
    default: Any,
    meaning: str,
    parse: Parser,
    *,
    changes: Changes = "nothing",
    shown: str | None = None,
    flag: bool = True,
) -> Any:  # a field of any type, as with dataclasses.field
    metadata = {"meaning": Meaning(meaning, parse, changes, shown or _shown(default), flag)}
    return (
        field(default_factory=default, metadata=metadata)
        if callable(default)
        else field(default=default, metadata=metadata)
    )


def _shown(default: object) -> str:
    match default:
        case None | "" | ():
            return "none"
        case bool():
            return str(default).lower()
        case _:
            return f"`{default}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one build. Paths are as given, joined to the directory they are relative to."""

    store: Path = _setting(
        Path(".codeintel"),
        "Directory that holds everything a build keeps.",
        _path,
        shown="`.codeintel` in the repository",
    )
    targets: tuple[str, ...] = _setting(
        (), "Tables to build, with what they need; all of them if none is named.", _many(_name), changes="tables"
    )
    views: tuple[Path, ...] = _setting(
        (), "Directories of SQL files to plan and run like the built-in views.", _many(_path), changes="tables"
    )
    analyses: tuple[str, ...] = _setting(
        (), "Python modules whose analyses to plan and run like the built-in ones.", _many(_name), changes="tables"
    )
    include: tuple[str, ...] = _setting(
        (), "Gitignore patterns of files to scan besides `*.py` and `*.pyi`.", _many(_name), changes="results"
    )
    exclude: tuple[str, ...] = _setting(
        (), "Gitignore patterns of files not to scan; wins over `include`.", _many(_name), changes="results"
    )
    jobs: int = _setting(usable_cpus, "Worker processes at a time.", _integer(1), shown="the CPUs this process may use")
    executor: Literal["local", "hamilton", "ray"] = _setting(
        "local",
        "Where tasks run: `local`, in the plan's order; `hamilton`, Hamilton's stock executor, to compare with; `ray`, "
        "a Ray cluster.",
        _choice("local", "hamilton", "ray"),
    )
    ray_address: str = _setting(
        "", "Ray cluster that is there, `host:port` or `auto`; else one is started on this machine, and stopped.",
        _text, shown="a cluster of its own",
    )  # fmt: skip
    memory_limit: int | None = _setting(
        None, "Megabytes that the whole build should stay below; fewer jobs run at a time to keep it.", _integer(1)
    )
    strict: bool = _setting(False, "Let extraction errors and contracts of severity `warn` fail the build.", _switch)
    wait: float = _setting(0.0, "Seconds to wait for a store that another build is writing.", _seconds, shown="`0`")
    track: bool = _setting(False, "Record the run for the Hamilton UI.", _switch)
    openlineage: str = _setting(
        "", "File or URL that gets the run as OpenLineage events; a file is appended to, one event a line.", _place
    )
    opentelemetry: bool = _setting(
        False, "Send the run as OpenTelemetry spans to where the `OTEL_*` variables say.", _switch
    )
    namespace: str = _setting(
        "", "Part of every id, so that graphs of several repositories can be united.", _text,
        changes="results", flag=False,
    )  # fmt: skip
    bucket_count: int = _setting(
        64, "Partitions of each table; choose more above ten million lines.", _integer(1),
        changes="results", flag=False,
    )  # fmt: skip
    max_file_bytes: int = _setting(
        10_000_000, "A larger file is a row in `extract_errors` and is not parsed.", _integer(1),
        changes="results", flag=False,
    )  # fmt: skip
    hamilton_dag_name: str = _setting("codeintel_semantic_v1", "Name of the DAG in the Hamilton UI.", _name, flag=False)
    hamilton_project: str = _setting(
        "codeintel", "Project of the Hamilton UI, by name or number; made if there is none of that name.", _name,
        flag=False,
    )  # fmt: skip
    hamilton_user: str = _setting("codeintel", "Who the Hamilton UI is told is building.", _name, flag=False)
    hamilton_api_url: str = _setting(
        "http://127.0.0.1:8241", "Where the Hamilton UI takes what is tracked.", _url, flag=False
    )
    hamilton_ui_url: str = _setting(
        "", "Where people see the Hamilton UI, if that is another address.", _text, flag=False,
        shown="`hamilton_api_url`",
    )  # fmt: skip
    telemetry_flush: float = _setting(
        0.5, "Seconds that a finished build waits, for each of tracking and exports, to have what it sent confirmed.",
        _seconds, flag=False,
    )  # fmt: skip
    capture: Literal["limits", "off"] = _setting(
        "limits", "What the tracker may see of values: `limits`, what `HAMILTON_CAPTURE_DATA_STATISTICS` and the "
        "limits beside it allow, by default nothing; `off`, nothing whatever they say.", _choice("limits", "off"),
        flag=False,
    )  # fmt: skip
    on_unknown_task: Literal["raise", "skip"] = _setting(
        "raise", "What to do with a Hamilton node that the plan does not list: `raise` an error before the first task, "
        "or `skip` it.", _choice("raise", "skip"), flag=False,
    )  # fmt: skip
    cache_policy: Literal["strict_causal", "off"] = _setting(
        "strict_causal", "`strict_causal` reuses what nothing it was made of has changed; `off` computes everything.",
        _choice("strict_causal", "off"), flag=False,
    )  # fmt: skip

    def parameters(self) -> dict[str, object]:
        """The settings that rows depend on, by name: what a source, an extractor or an analysis may take."""
        return {name: getattr(self, name) for name, meaning in MEANINGS.items() if meaning.changes == "results"}


MEANINGS: Mapping[str, Meaning] = {each.name: each.metadata["meaning"] for each in fields(Settings)}
PLACES = ("hamilton_api_url", "openlineage", "ray_address")
"""Settings that say where something is sent or written to: a repository, which may be anybody's, has no say in them."""


def load_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    pyproject: Mapping[str, object],
    *,
    working_directory: Path = Path(),
    repository: Path = Path(),
) -> Settings:
    """Settings from arguments, over the environment, over a parsed `pyproject.toml`, over the defaults.

    A flag that is None, or a variable that is empty, counts as not given. Relative paths are relative to
    `working_directory`, those in `pyproject` and the default store to `repository`. Raises UsageError, naming the place
    of the bad value, for an unknown name or a value that cannot be meant.
    """
    values: dict[str, object] = {"store": repository / ".codeintel"}
    for key, value in _declared(pyproject).items():
        name = key.replace("-", "_")
        if name in PLACES:
            raise UsageError(
                f"[tool.codeintel] {key} is not for a repository to say; use the command line or {PREFIX}{name.upper()}"
            )
        values[name] = _parsed(name, value, f"[tool.codeintel] {key}", repository)
    for variable, text in sorted(environ.items()):
        if variable.startswith(PREFIX) and text:
            name = variable.removeprefix(PREFIX).lower()
            values[name] = _parsed(name, text, variable, working_directory)
    for name, value in flags.items():
        if value is not None:
            values[name] = _parsed(name, value, f"--{name.replace('_', '-')}", working_directory)
    return Settings(**values)  # pyrefly: ignore[bad-argument-type]  each value has gone through its field's own parser


def _declared(pyproject: Mapping[str, object]) -> Mapping[str, object]:
    tool = pyproject.get("tool", {})
    declared = tool.get("codeintel", {}) if isinstance(tool, Mapping) else {}
    if not isinstance(declared, Mapping):
        raise UsageError("[tool.codeintel] in pyproject.toml must be a table of settings")
    return declared


def _parsed(name: str, value: object, place: str, base: Path) -> object:
    if name not in MEANINGS:
        raise UsageError(f"{place} is not a setting; {nearest(name, MEANINGS)}")
    try:
        return MEANINGS[name].parse(value, base)
    except ValueError as error:
        raise UsageError(f"{place} {error}, not {value!r}") from None


def settings_markdown() -> str:
    """The page that documents every setting, as Markdown."""
    rows = []
    for name, meaning in MEANINGS.items():
        flag = f"`--{name.replace('_', '-')}`" if meaning.flag else ""
        rows.append(
            f"| `{name}` | {meaning.help} | {meaning.default} | {flag} | `{PREFIX}{name.upper()}` | {meaning.changes} |"
        )
    return "\n".join([_PAGE, *rows, ""])


_PAGE = """\
# Settings

<!-- Generated from `codeintel.settings`; `make docs` writes it anew. -->

A setting comes from the command line, else from the environment, else from `[tool.codeintel]` in the repository's
`pyproject.toml`, else it has its default. In the environment the items of a list are separated by commas, and an empty
variable counts as not set. A relative path is relative to the working directory, in `pyproject.toml` to the repository.
An unknown name is an error, and so is a place to send or write to (`hamilton_api_url`, `openlineage`,
`ray_address`) in
`pyproject.toml`: what leaves the machine is not for a repository to say.

```toml
[tool.codeintel]
exclude = ["tests/data/", "*_pb2.py"]
max_file_bytes = 2_000_000
```

The last column says what a setting changes. `results`: rows depend on it, so it is part of the signature of each task
that reads it, and changing it computes those tasks again, and undoing that reuses them. `tables`: it decides which
tables are built, and no row of the others. `nothing`: however it is set, the tables are the same.

| setting | meaning | default | command line | environment | changes |
|---|---|---|---|---|---|"""
