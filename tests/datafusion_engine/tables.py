"""The tables that the tests' queries read, and how to read a file of queries."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from codeintel.relspec.pipeline import ScalarFunction

FILE_KEYED = pa.schema([("path", pa.string()), ("bucket", pa.int32()), ("id", pa.int64()), ("x", pa.string())])
TABLES = {
    "a": FILE_KEYED,
    "b": FILE_KEYED,
    "c": FILE_KEYED,
    "g": pa.schema([("id", pa.int64()), ("n", pa.string()), ("m", pa.int64())]),
    "e": pa.schema([("src", pa.int64()), ("dst", pa.int64())]),
    "nums": pa.schema([
        ("k", pa.int64()),
        ("tags", pa.list_(pa.string())),
        ("info", pa.struct([("p", pa.int64()), ("q", pa.string())])),
    ]),
    "Mixed": pa.schema([("Col A", pa.string()), ("key", pa.string()), ("Val.ue", pa.int64())]),
}  # fmt: skip


def shouted(words: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(words, "!", "")


SHOUT = ScalarFunction(shouted, (pa.string(),), pa.string())


def blocks(file: str, heading: str) -> dict[str, str]:
    """The pieces of `file` under its lines `-- heading: title`, by title."""
    text = (Path(__file__).parent / file).read_text()
    parts = re.split(rf"^-- {heading}: (.*)\n", text, flags=re.MULTILINE)[1:]
    titles = parts[::2]
    assert len(set(titles)) == len(titles)
    return dict(zip(titles, (part.strip() for part in parts[1::2]), strict=True))
