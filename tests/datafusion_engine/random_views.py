"""Random relations with the columns of a file-keyed table, built of every operator that has a rule of its own."""

from __future__ import annotations

from hypothesis import strategies as st

COLUMNS = "path, bucket, id, x"
TABLES = st.sampled_from(["a", "b", "c"]).map(lambda table: f"SELECT {COLUMNS} FROM {table}")
CONDITIONS = st.sampled_from([
    "x = 'q'", "id > 1", "path = 'p1'", "bucket = 1", "x IS NOT NULL", "path = x", "path IS NOT NULL", "1 = 0",
    "id = (SELECT max(id) FROM a)", "id IN (SELECT id FROM b WHERE b.path = s.path)",
    "path IN (SELECT path FROM c) OR id = 1",
    "NOT EXISTS (SELECT 1 FROM b WHERE b.path = s.path AND b.id > s.id)", "id NOT IN (SELECT id FROM c)",
    "path NOT IN (SELECT x FROM c)", "(SELECT count(*) FROM b WHERE b.bucket = s.bucket) > 1",
])  # fmt: skip
MATCHES = st.sampled_from([
    "l.path = r.path", "l.bucket = r.bucket", "l.id = r.id", "l.path = r.x", "l.path = r.path AND l.id < r.id",
    "l.id = r.id AND l.bucket = r.bucket", "l.path = r.path OR l.id = r.id", "upper(l.path) = upper(r.path)",
    "l.id < r.id", "l.path IS NOT DISTINCT FROM r.path", "l.x = r.path AND l.path = r.x",
])  # fmt: skip
SIDES = st.tuples(*(st.sampled_from("lr") for _ in range(4)))
SHAPES = st.sampled_from([
    "SELECT DISTINCT path, bucket, id, x FROM ({}) s",
    "SELECT path, bucket, max(id) AS id, x FROM ({}) s GROUP BY path, bucket, x",
    "SELECT path, max(bucket) AS bucket, count(*) AS id, min(x) AS x FROM ({}) s GROUP BY path",
    "SELECT max(path) AS path, bucket, sum(id) AS id, max(x) AS x FROM ({}) s GROUP BY bucket",
    "SELECT path, bucket, count(*) AS id, x FROM ({}) s GROUP BY GROUPING SETS ((path, bucket, x), (path, x))",
    "SELECT path, bucket, count(DISTINCT id) AS id, x FROM ({}) s GROUP BY ROLLUP (path, bucket, x)",
    "SELECT path, bucket, sum(id) OVER (PARTITION BY path) AS id, x FROM ({}) s",
    "SELECT path, bucket, sum(id) OVER (PARTITION BY bucket, x) AS id, x FROM ({}) s",
    "SELECT path, bucket, sum(id) OVER (PARTITION BY x) AS id, x FROM ({}) s",
    "SELECT path, bucket, id, max(x) OVER () AS x FROM ({}) s",
    "SELECT path, bucket, id, x FROM ({}) s QUALIFY rank() OVER (PARTITION BY path ORDER BY id) = 1",
    "SELECT path, bucket, id, x FROM ({}) s ORDER BY path, bucket, id, x LIMIT 3",
    "SELECT path, bucket, id, x FROM ({}) s ORDER BY id",
    "SELECT x AS path, bucket, id, path AS x FROM ({}) s",
    "SELECT coalesce(x, path) AS path, bucket, id, x FROM ({}) s",
    "SELECT path, bucket, unnest([id, 0]) AS id, x FROM ({}) s",
    "SELECT path, bucket, (SELECT max(b.id) FROM b WHERE b.path = s.path) AS id, x FROM ({}) s",
    "SELECT path, bucket, (SELECT max(id) FROM b) AS id, x FROM ({}) s",
])  # fmt: skip
SETS = st.sampled_from(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
JOINS = st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
HALF_JOINS = st.sampled_from(["LEFT SEMI JOIN", "LEFT ANTI JOIN", "RIGHT SEMI JOIN", "RIGHT ANTI JOIN"])


def _joined(parts: tuple[str, str, str, str, tuple[str, ...]]) -> str:
    left, right, kind, match, sides = parts
    chosen = ", ".join(f"{side}.{column} AS {column}" for side, column in zip(sides, COLUMNS.split(", "), strict=True))
    return f"SELECT {chosen} FROM ({left}) l {kind} ({right}) r ON {match}"


def _half_joined(parts: tuple[str, str, str, str]) -> str:
    left, right, kind, match = parts
    side = "l" if kind.startswith("LEFT") else "r"
    chosen = ", ".join(f"{side}.{column}" for column in COLUMNS.split(", "))
    return f"SELECT {chosen} FROM ({left}) l {kind} ({right}) r ON {match}"


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(SHAPES, inner).map(lambda p: p[0].format(p[1])),
        st.tuples(inner, CONDITIONS).map(lambda p: f"SELECT {COLUMNS} FROM ({p[0]}) s WHERE {p[1]}"),
        st.tuples(inner, inner, SETS).map(lambda p: f"SELECT * FROM ({p[0]}) {p[2]} SELECT * FROM ({p[1]})"),
        st.tuples(inner, inner, JOINS, MATCHES, SIDES).map(_joined),
        st.tuples(inner, inner, HALF_JOINS, MATCHES).map(_half_joined),
    )


def _recursive(parts: tuple[str, str, str, tuple[str, ...]]) -> str:
    start, step, match, sides = parts
    chosen = ", ".join(f"{side}.{column}" for side, column in zip(sides, COLUMNS.split(", "), strict=True))
    return (
        f"WITH RECURSIVE l AS (SELECT {COLUMNS} FROM ({start}) "
        f"UNION SELECT {chosen} FROM l JOIN ({step}) r ON {match}) SELECT {COLUMNS} FROM l"
    )


PLAIN = st.recursive(TABLES, _larger, max_leaves=4)
VIEWS = PLAIN | st.tuples(PLAIN, PLAIN, MATCHES, SIDES).map(_recursive)
