"""Whether classes are put in the order CPython puts them in, for every class of the standard library.

    python benchmarks/mro.py [--json]

Resolves the class hierarchy of the standard library's sources, imports its modules (nothing else), and compares the
orders of all classes whose bases are all resolved. Classes of C, which have no source, are left out on both sides.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pyarrow as pa
from corpora import corpus

from codeintel.analysis.attributes import Attributes
from codeintel.analysis.program import CLASS, Modules, Program, exported
from codeintel.analysis.solver import hierarchy
from codeintel.extract.python_facts import python_facts
from codeintel.extract.repo_scan import REPO_FILES, scan

# They open a browser, print a poem, or start a program.
NOT_IMPORTED = ("antigravity", "this", "idlelib", "turtledemo", "lib2to3.pgen2.conv")


def resolved() -> Attributes:
    root = corpus("stdlib")
    rows = scan(root)
    columns = zip(zip(*rows, strict=True), REPO_FILES.schema, strict=True)
    files = pa.table([pa.array(column, field.type) for column, field in columns], schema=REPO_FILES.schema)
    facts = python_facts(files, root, "", 1 << 22)
    program = Program(facts["value_flows"].to_reader())
    modules, exports = Modules.of(program), exported(facts["exports"])
    return Attributes(program, modules, exports, *hierarchy(program, modules, exports))


def real_class(module: str, qualname: str) -> type | None:
    try:
        found: object = importlib.import_module(module)
        for name in qualname.removeprefix(f"{module}.").split("."):
            found = getattr(found, name)
    except BaseException:  # noqa: BLE001 - modules of other systems fail in their own ways
        return None
    return found if isinstance(found, type) else None


def _is_told(base: int | str) -> bool:
    return isinstance(base, int) or base.startswith("builtins.")


def _bases(cls: type | None) -> int:
    """How many bases a class was given."""
    return 0 if cls is None or cls.__bases__ == (object,) else len(cls.__bases__)


def _has_another_base(cls: int, real: Mapping[int, type | None], bases: Sequence[int | str]) -> bool:
    known = real[cls]
    own = [] if known is None else [id(base) for base in known.__bases__]
    return any(isinstance(base, int) and id(real[base]) not in own for base in bases)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started = time.process_time()
    values = resolved()
    seconds = time.process_time() - started
    classes = [slot for slot, sort in values.sort.items() if sort == CLASS]
    named = Counter(values.name[slot] for slot in classes)
    counts, wrong = Counter[str](), list[str]()
    warnings.simplefilter("ignore")
    real: dict[int, type | None] = {}
    for cls in classes:
        around = cls
        while values.around[around] >= 0:
            around = values.around[around]
        module = values.name[around]
        skipped = named[values.name[cls]] > 1 or module.startswith(NOT_IMPORTED) or module.endswith("__main__")
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            real[cls] = None if skipped else real_class(module, values.name[cls])
    given_bases = Counter(values.program["base"].target)
    known = {id(found) for found in real.values() if found is not None}
    for cls, found in real.items():
        order = values.order(cls)
        told = all(
            len(values.bases[each]) == given_bases[each] and all(_is_told(base) for base in values.bases[each])
            for each in order
        )
        if not told or found is None:
            counts["with bases outside, or not there at run time"] += 1
        elif any(
            real[each] is None or _bases(real[each]) != sum(b != "builtins.object" for b in values.bases[each])
            for each in order
        ):
            counts["another class at run time"] += 1
        elif [id(real[each]) for each in order] == [id(each) for each in found.__mro__ if id(each) in known]:
            counts["equal"] += 1
        elif any(_has_another_base(each, real, values.bases[each]) for each in order):
            counts["another base at run time, of C"] += 1
        else:
            wrong.append(f"{values.name[cls]}: {[values.name[e] for e in order]} is not {found.__mro__}")
    figures = {"classes": len(classes), **counts, "different": len(wrong), "cpu_s": round(seconds, 1)}
    print(json.dumps(figures, indent=2) if given.json else figures)
    for line in wrong:
        print(" ", line)


if __name__ == "__main__":
    main()
