"""What is read off a file hangs on that file alone, whichever others are taken apart with it."""

from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from codeintel.extract.python_facts import python_facts
from codeintel.extract.tables import TABLES
from tests.extract.conftest import Sources, scanned

PROJECT = Path(__file__).parents[2]
TESTS_BEHIND_EACH_OTHER = """\
from settings import DEBUG
def told(value, other):
    if not isinstance(value, (list, tuple)) and other is not None:
        return other
    if isinstance(other, str) or not callable(value):
        value = {"one": {"name": told, "code": {"of": [value]}}, "two": {"name": other, "code": DEBUG}, **other}
    try:
        return value["one"]["name"](other)
    except KeyError as error:
        return -value if type(value) is int else error
"""


def by_path(table: pa.Table) -> dict[str, list[str]]:
    found = defaultdict(list)
    for row in table.to_pylist():
        found[row["path"]].append(str(row))
    return {path: sorted(rows) for path, rows in found.items()}


def test_rows_of_a_file_are_the_same_alone_and_among_others(tmp_path: Path) -> None:
    sources: Sources = {
        file.relative_to(PROJECT).as_posix(): file.read_text()
        for folder in ("src/codeintel/extract", "src/codeintel/analysis", "tests/analysis")
        for file in (PROJECT / folder).rglob("*.py")
    }
    sources |= {f"same/{n}.py": TESTS_BEHIND_EACH_OTHER * n for n in (1, 2, 7)}
    files = scanned(tmp_path, sources)
    together = {name: by_path(table) for name, table in python_facts(files, tmp_path, "", 1 << 20).items()}
    assert together.keys() == TABLES.keys()
    for path in sources:
        alone = python_facts(files.filter(pc.equal(files["path"], path)), tmp_path, "", 1 << 20)
        for name, table in alone.items():
            assert by_path(table).get(path) == together[name].get(path), (name, path)
