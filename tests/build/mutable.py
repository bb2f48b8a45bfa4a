"""What mutations are made to: a package of analyses and a small repository, each thing to change in a place of its own.

The package runs under `codeintel` and, with another `flows/rows.py`, under Hamilton: analyses see rows through it.
"""

from __future__ import annotations

ROWS = """\
import pyarrow as pa
import codeintel

Rows = pa.Table
SCHEMA = pa.schema({"n": pa.int64(), "value": pa.int64()})
analysis = codeintel.analysis(SCHEMA)


def values(table):
    return table["value"].to_pylist()


def rows(values):
    return pa.table({"n": list(range(len(values))), "value": values}, SCHEMA)
"""

HAMILTON_ROWS = """\
Rows = list


def analysis(function):
    return function


def values(given):
    return given


def rows(values):
    return values
"""


def _analysis(name: str, value: str, *, above: str = "", reads: str = "items", more: str = "") -> str:
    return (
        f"from flows.rows import Rows, analysis, rows, values\n{above}\n\n@analysis\n"
        f"def {name}({reads}: Rows{more}) -> Rows:\n    return rows([{value} for v in values({reads})])\n"
    )


FLOWS = {
    "flows/__init__.py": "",
    "flows/rows.py": ROWS,
    "flows/source.py": '''\
"""Where rows come from."""
import json
from pathlib import Path


def read():
    return json.loads(Path("items.json").read_text())
''',
    "items.json": "[1, 2, 3, 4]",
    "flows/plain.py": _analysis("plain", "v + 1"),
    "flows/deep.py": "def step(v):\n    # one further\n    return v + 1\n",
    "flows/helper.py": (
        '"""Scales."""\nfrom .deep import step\n\n\ndef scale(v):\n    """Twice."""\n    return step(v) * 2\n'
    ),
    "flows/helped.py": _analysis("helped", "scale(v)", above="from flows.helper import scale"),
    "flows/rate.py": "RATE = 3\n",
    "flows/taxed.py": _analysis("taxed", "v * RATE", above="from flows.rate import RATE"),
    "flows/klass.py": "class Scale:\n    factor = 2\n\n    def of(self, v):\n        return v * self.factor\n",
    "flows/methodical.py": _analysis("methodical", "Scale().of(v)", above="from flows.klass import Scale"),
    "flows/closing.py": """\
from flows.rows import Rows, analysis, rows, values


def closing(k):
    @analysis
    def closed(items: Rows) -> Rows:
        return rows([v * k for v in values(items)])

    return closed
""",
    "flows/held.py": """\
from flows.rows import Rows, analysis, rows, values


def holding(held):
    @analysis
    def holder(items: Rows) -> Rows:
        return rows([held.of(v) for v in values(items)])

    return holder
""",
    "flows/inward.py": "class Inward:\n    @staticmethod\n    def of(v):\n        return v * 11\n",
    "flows/outward.py": "def of(v):\n    return v * 12\n",
    "flows/parts/__init__.py": "from flows.parts.part import part\n",
    "flows/parts/part.py": "def part(v):\n    return v + 13\n",
    "flows/parted.py": _analysis("parted", "part(v)", above="from flows.parts import part"),
    "flows/other_name.py": _analysis("other_name", "v * otherlib.FACTOR", above="import otherlib"),
    "site/otherlib.py": "import belowlib\n\nFACTOR = 2\n\n\ndef below(v):\n    return v * belowlib.FACTOR\n",
    "site/python_otherlib-1.0.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: python-otherlib\nVersion: 1.0\nRequires-Dist: belowlib\n"
    ),
    "site/python_otherlib-1.0.dist-info/RECORD": "otherlib.py,,\n",
    "site/python_otherlib-1.0.dist-info/top_level.txt": "otherlib\n",
    "flows/below.py": _analysis("below", "otherlib.below(v)", above="import otherlib"),
    "site/belowlib.py": "FACTOR = 2\n",
    "site/belowlib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: belowlib\nVersion: 1.0\n",
    "flows/env_early.py": _analysis("env_early", "v * LIMIT", above="from flows.early import LIMIT"),
    "flows/early.py": 'from os import environ\n\nLIMIT = int(environ.get("FLOW_EARLY", "1"))\n',
    "flows/defaulting.py": """\
from flows.rows import Rows, analysis, rows, values


def defaulting(factor):
    @analysis
    def defaulted(items: Rows, factor: int = factor) -> Rows:
        return rows([v * factor for v in values(items)])

    return defaulted


def keywording(shift):
    @analysis
    def keyworded(items: Rows, *, shift: int = shift) -> Rows:
        return rows([v + shift for v in values(items)])

    return keyworded
""",
    "flows/times.py": """\
from functools import wraps


def times(k):
    def decorated(function):
        @wraps(function)
        def called(**given):
            return again(function(**given), k)

        return called

    return decorated


def again(made, k):
    from flows.rows import rows, values

    return rows([v * k for v in values(made)])
""",
    "flows/decorated.py": _analysis("decorated", "v + 10", above="from flows.times import times").replace(
        "@analysis\n", "@times(3)\n@analysis\n"
    ),
    "flows/wrapping.py": """\
from flows.rows import Rows, analysis, rows, values
from flows.wrapped import inner
from flows.times import times

wrapped = analysis(times(2)(inner))
""",
    "flows/wrapped.py": """\
from flows.rows import Rows, rows, values


def inner(items: Rows) -> Rows:
    return rows([v - 1 for v in values(items)])
""",
    "flows/partly.py": _analysis("scaled_by", "v * factor", more=", factor: int").replace("@analysis\n", ""),
    "flows/library.py": _analysis("library", "v * fakelib.FACTOR", above="import fakelib"),
    "site/fakelib.py": "FACTOR = 2\n",
    "site/fakelib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fakelib\nVersion: 1.0\n",
    "flows/beside.py": _analysis("beside", "v * loose.FACTOR", above="import loose"),
    "loose.py": "FACTOR = 2\n",
    "flows/lazy.py": "def late(v):\n    return v + 5\n",
    "flows/lazily.py": """\
from flows.rows import Rows, analysis, rows, values


@analysis
def lazily(items: Rows) -> Rows:
    from flows.lazy import late

    return rows([late(v) for v in values(items)])
""",
    "flows/named.py": "def by_name(v):\n    return v + 6\n",
    "flows/naming.py": """\
from importlib import import_module

from flows.rows import Rows, analysis, rows, values


@analysis
def naming(items: Rows) -> Rows:
    return rows([import_module("flows.named").by_name(v) for v in values(items)])
""",
    "flows/env_item.py": _analysis("env_item", 'v * int(os.environ["FLOW_ITEM"])', above="import os"),
    "flows/env_get.py": _analysis("env_get", 'v * int(os.environ.get("FLOW_GET", "1"))', above="import os"),
    "flows/env_call.py": _analysis("env_call", "v * factor()", above="from flows.surroundings import factor"),
    "flows/surroundings.py": 'import os\n\n\ndef factor():\n    return int(os.getenv("FLOW_CALL", "1"))\n',
    "flows/tuned.py": _analysis("tuned", "v + threshold", more=", threshold: int"),
    "flows/after.py": _analysis("after", "v * 100", reads="helped"),
    "flows/nodes.py": """\
from functools import partial

from flows.rows import Rows, analysis, rows
from flows import outward, source
from flows.after import after
from flows.below import below
from flows.beside import beside
from flows.closing import closing
from flows.decorated import decorated
from flows.defaulting import defaulting, keywording
from flows.env_call import env_call
from flows.env_early import env_early
from flows.env_get import env_get
from flows.env_item import env_item
from flows.held import holding
from flows.helped import helped
from flows.inward import Inward
from flows.lazily import lazily
from flows.library import library
from flows.methodical import methodical
from flows.naming import naming
from flows.other_name import other_name
from flows.parted import parted
from flows.partly import scaled_by
from flows.plain import plain
from flows.taxed import taxed
from flows.tuned import tuned
from flows.wrapping import wrapped


def items() -> Rows:
    return rows(source.read())


ANALYSES = {
    "plain": plain, "helped": helped, "after": after, "taxed": taxed, "methodical": methodical,
    "closed": closing(2), "defaulted": defaulting(2), "keyworded": keywording(7),
    "decorated": decorated, "wrapped": wrapped, "partly": analysis(partial(scaled_by, factor=2)),
    "library": library, "beside": beside, "lazily": lazily, "naming": naming,
    "env_item": env_item, "env_get": env_get, "env_call": env_call, "env_early": env_early, "tuned": tuned,
    "held_class": holding(Inward), "held_module": holding(outward), "parted": parted,
    "other_name": other_name, "below": below,
}
""",
    "flows/gross.py": "import pyarrow.compute as pc\n\n\ndef gross(value):\n    return pc.multiply(value, 3)\n",
    "flows/pipeline.py": """\
from pathlib import Path

import pyarrow as pa
from codeintel import Contract, Pipeline, ScalarFunction, Source, Table

from flows.gross import gross
from flows.nodes import ANALYSES, items
from flows.rows import SCHEMA

PRICES = pa.schema({"product": pa.int64(), "price": pa.int64(), "note": pa.string()})
VIEWS = {
    "big": "SELECT n, value FROM helped WHERE value > 4",
    "biggest": "SELECT max(value) AS value FROM big",
    "dear": "SELECT product, price FROM prices WHERE price > 10",
    "keyed": "-- key: product\\nSELECT product, price FROM prices",
    "grown": "SELECT n, gross(value) AS value FROM items",
}

PIPELINE = Pipeline(
    name="flows",
    sources={
        "items": Source(Table(SCHEMA, ("n",)), items),
        "prices": Source(Table(PRICES, ("product",)), Path("prices.parquet")),
    },
    views=VIEWS,
    functions={"gross": ScalarFunction(gross, (pa.int64(),), pa.int64())},
    analyses=ANALYSES,
    contracts={"dear": Contract(
        Table(pa.schema({"product": pa.int64(), "price": pa.int64()}), ("product",)), "p", {},
        entity="price", join_keys=("product",),
    )},
    published=frozenset({*VIEWS, *ANALYSES} - {"dear", "keyed"}),
)
""",
}

HAMILTON = {
    name: text for name, text in FLOWS.items() if name not in ("flows/pipeline.py", "flows/gross.py", "prices.parquet")
} | {"flows/rows.py": HAMILTON_ROWS}

REPOSITORY = {
    "shop/__init__.py": "from shop.cart import Cart\n",
    "shop/cart.py": (
        "from shop.prices import price\n\n\nclass Cart:\n    def total(self, goods):\n"
        "        return sum(price(g) for g in goods)\n"
    ),
    "shop/prices.py": 'PRICES = {"tea": 3}\n\n\ndef price(good):\n    return PRICES[good]\n',
    "shop/names.py": "def plain(s):\n    return s.lower()\n",
    "store/__init__.py": "",
    "tools/run.py": "import shop\nprint(shop.Cart())\n",
    "tools/gen.py": "GENERATED = [n for n in range(3)]\n",
    "tools/script.pyx": "x = 1\n",
    "bad.py": "def f(:\n    pass\n",
    "latin.py": "# -*- coding: latin-1 -*-\ns = 'e'\n",
}
