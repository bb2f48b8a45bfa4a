-- Views over the tables of `tables.py` with the modes they must get. `a`, `b` and `c` are file-keyed.
-- After the modes: `cut` if the output is file-keyed, `one piece` if not.
-- view: projection
-- expect: a=same_bucket; cut
SELECT path, bucket, id FROM a
-- view: filter
-- expect: a=same_bucket; cut
SELECT path, bucket, id FROM a WHERE x = 'q' AND id > 1
-- view: filter on one path
-- expect: a=same_bucket; cut
SELECT path, bucket, id FROM a WHERE path = 'p1'
-- view: output without a bucket
-- expect: a=whole; one piece
SELECT path, id FROM a
-- view: constant for a path
-- expect: a=whole; one piece
SELECT 'p1' AS path, bucket, id FROM a
-- view: computed path
-- expect: a=whole; one piece
SELECT CASE WHEN id > 1 THEN path ELSE 'p1' END AS path, bucket, id FROM a
-- view: another column called path
-- expect: a=whole; one piece
SELECT x AS path, bucket, id FROM a
-- view: computed bucket
-- expect: a=whole; one piece
SELECT path, CAST(bucket + 1 AS int) AS bucket FROM a
-- view: join on path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, a.bucket, a.id, b.x FROM a JOIN b ON a.path = b.path
-- view: join on path, path of the one and bucket of the other
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, b.bucket, a.id FROM a JOIN b ON a.path = b.path AND a.id < b.id
-- view: join on bucket
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, a.bucket, b.x FROM a JOIN b ON a.bucket = b.bucket
-- view: join on a disjunction that always has the path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, a.bucket FROM a JOIN b ON (a.path = b.path AND a.id = 1) OR (a.path = b.path AND b.id = 2)
-- view: join on a disjunction
-- expect: a=same_bucket, b=whole; cut
SELECT a.path, a.bucket FROM a JOIN b ON a.path = b.path OR a.id = b.id
-- view: join on another column
-- expect: a=same_bucket, b=whole; cut
SELECT a.path, a.bucket, b.x FROM a JOIN b ON a.id = b.id
-- view: join on another column, cut by the other side
-- expect: a=whole, b=same_bucket; cut
SELECT b.path, b.bucket, a.x FROM a JOIN b ON a.id = b.id
-- view: join on another column, path and bucket of different sides
-- expect: a=whole, b=whole; one piece
SELECT a.path, b.bucket FROM a JOIN b ON a.id = b.id
-- view: join on a function of the path
-- expect: a=same_bucket, b=whole; cut
SELECT a.path, a.bucket FROM a JOIN b ON upper(a.path) = upper(b.path)
-- view: join of path with another column
-- expect: a=same_bucket, b=whole; cut
SELECT b.x AS path, a.bucket, b.id FROM a JOIN b ON a.path = b.x
-- view: join with a table that is not file-keyed
-- expect: a=same_bucket, g=whole; cut
SELECT a.path, a.bucket, g.n FROM a JOIN g ON a.id = g.id
-- view: path against bucket's text
-- expect: a=same_bucket, b=whole; cut
SELECT a.path, a.bucket FROM a JOIN b ON a.path = CAST(b.bucket AS varchar)
-- view: cross join
-- expect: a=same_bucket, g=whole; cut
SELECT a.path, a.bucket, g.n FROM a CROSS JOIN g
-- view: left join on path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, a.bucket, b.x FROM a LEFT JOIN b ON a.path = b.path AND b.id > 1
-- view: left join on another column
-- expect: a=same_bucket, b=whole; cut
SELECT a.path, a.bucket, b.x FROM a LEFT JOIN b ON a.id = b.id
-- view: left join cut by its right side
-- expect: a=whole, b=whole; one piece
SELECT b.path, b.bucket, a.x FROM a LEFT JOIN b ON a.path = b.path
-- view: left join that a filter makes inner
-- expect: a=same_bucket, b=same_bucket; cut
SELECT b.path, b.bucket, a.x FROM a LEFT JOIN b ON a.path = b.path WHERE b.id > 0
-- view: right join on path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT b.path, b.bucket, a.x FROM a RIGHT JOIN b ON a.path = b.path
-- view: right join on another column
-- expect: a=whole, b=same_bucket; cut
SELECT b.path, b.bucket, a.x FROM a RIGHT JOIN b ON a.id = b.id
-- view: full join
-- expect: a=whole, b=whole; one piece
SELECT coalesce(a.path, b.path) AS path, coalesce(a.bucket, b.bucket) AS bucket FROM a FULL JOIN b ON a.path = b.path
-- view: full join on path, one side's columns
-- expect: a=whole, b=whole; one piece
SELECT a.path, a.bucket FROM a FULL JOIN b ON a.path = b.path
-- view: semi join on path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.path = a.path AND b.id > a.id)
-- view: semi join on another column
-- expect: a=same_bucket, b=whole; cut
SELECT path, bucket, id FROM a WHERE id IN (SELECT id FROM b)
-- view: anti join on path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.path = a.path)
-- view: NOT IN of paths
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a WHERE path NOT IN (SELECT path FROM b)
-- view: NOT IN of another column
-- expect: a=same_bucket, b=whole; cut
SELECT path, bucket, id FROM a WHERE x NOT IN (SELECT x FROM b)
-- view: correlated NOT IN
-- expect: a=same_bucket, b=whole; cut
SELECT path, bucket, id FROM a WHERE x NOT IN (SELECT x FROM b WHERE b.path = a.path)
-- view: mark join on path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a WHERE path IN (SELECT path FROM b) OR id = 2
-- view: correlated scalar subquery
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, (SELECT max(b.id) FROM b WHERE b.path = a.path) AS top FROM a
-- view: uncorrelated scalar subquery
-- expect: a=same_bucket, b=whole; cut
SELECT path, bucket, (SELECT max(id) FROM b) AS top FROM a
-- view: scalar subquery over the spine itself
-- expect: a=whole; cut
SELECT path, bucket, id FROM a WHERE id = (SELECT max(id) FROM a)
-- view: group by path
-- expect: a=same_bucket; cut
SELECT path, bucket, count(*) AS n, sum(id) AS s FROM a GROUP BY path, bucket
-- view: group by another column
-- expect: a=whole; one piece
SELECT max(path) AS path, max(bucket) AS bucket, x FROM a GROUP BY x
-- view: group by path, and the bucket by aggregation
-- expect: a=whole; one piece
SELECT path, max(bucket) AS bucket FROM a GROUP BY path
-- view: grouping sets
-- expect: a=whole; one piece
SELECT path, bucket, count(*) AS n FROM a GROUP BY GROUPING SETS ((path, bucket), ())
-- view: distinct aggregate by path
-- expect: a=same_bucket; cut
SELECT path, bucket, count(DISTINCT x) AS n FROM a GROUP BY path, bucket
-- view: DISTINCT
-- expect: a=same_bucket; cut
SELECT DISTINCT path, bucket, x FROM a
-- view: join with a global aggregate
-- expect: a=same_bucket, b=whole; cut
SELECT a.path, a.bucket, t.n FROM a JOIN (SELECT x, count(*) AS n FROM b GROUP BY x) t ON t.x = a.x
-- view: join with an aggregate of its own table
-- expect: a=whole; cut
SELECT a.path, a.bucket, t.n FROM a JOIN (SELECT x, count(*) AS n FROM a GROUP BY x) t ON t.x = a.x
-- view: join with an aggregate by path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, a.bucket, t.n FROM a JOIN (SELECT path, count(*) AS n FROM b GROUP BY path) t ON t.path = a.path
-- view: self join on path
-- expect: a=same_bucket; cut
SELECT l.path, l.bucket, r.id FROM a l JOIN a r ON l.path = r.path AND l.id < r.id
-- view: self join on another column
-- expect: a=whole; cut
SELECT l.path, l.bucket, r.id FROM a l JOIN a r ON l.id = r.id
-- view: window by path
-- expect: a=same_bucket; cut
SELECT path, bucket, id, rank() OVER (PARTITION BY path ORDER BY id) AS r FROM a
-- view: window by bucket and another column
-- expect: a=same_bucket; cut
SELECT path, bucket, id, count(*) OVER (PARTITION BY x, bucket) AS n FROM a
-- view: window over everything
-- expect: a=whole; cut
SELECT path, bucket, id, rank() OVER (ORDER BY id) AS r FROM a
-- view: one window by path and one by another column
-- expect: a=whole; cut
SELECT path, bucket, sum(id) OVER (PARTITION BY path) AS s, count(*) OVER (PARTITION BY x) AS n FROM a
-- view: best row of each path
-- expect: a=same_bucket; cut
SELECT path, bucket, id FROM (SELECT *, rank() OVER (PARTITION BY path ORDER BY id) AS r FROM a) t WHERE r = 1
-- view: LIMIT
-- expect: a=whole; cut
SELECT path, bucket, id, x FROM a ORDER BY path, id, x LIMIT 3
-- view: LIMIT on the other side
-- expect: a=same_bucket, b=whole; cut
SELECT a.path, a.bucket, a.id FROM a JOIN (SELECT path FROM b ORDER BY path LIMIT 2) t ON t.path = a.path
-- view: ORDER BY
-- expect: a=same_bucket; cut
SELECT path, bucket, id FROM a ORDER BY id
-- view: UNION ALL
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a UNION ALL SELECT path, bucket, id FROM b
-- view: UNION
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a UNION SELECT path, bucket, id FROM b
-- view: union of a projection and a global join
-- expect: a=whole, b=same_bucket; cut
SELECT path, bucket, id FROM a UNION ALL SELECT b.path, b.bucket, a.id FROM b JOIN a ON a.id = b.id
-- view: union with a branch that has no key
-- expect: a=whole, g=whole; one piece
SELECT path, bucket FROM a UNION ALL SELECT n, CAST(m AS int) FROM g
-- view: union with swapped columns
-- expect: a=whole; one piece
SELECT path, bucket, x FROM a UNION ALL SELECT x, bucket, path FROM a
-- view: union with an empty branch
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a UNION ALL SELECT path, bucket, id FROM b WHERE 1 = 0
-- view: union under a join by path
-- expect: a=same_bucket, b=same_bucket, c=same_bucket; cut
SELECT c.path, c.bucket, t.id FROM c JOIN (SELECT path, id FROM a UNION ALL SELECT path, id FROM b) t ON t.path = c.path
-- view: INTERSECT
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a INTERSECT SELECT path, bucket, id FROM b
-- view: EXCEPT
-- expect: a=same_bucket, b=same_bucket; cut
SELECT path, bucket, id FROM a EXCEPT SELECT path, bucket, id FROM b
-- view: chain of joins on path
-- expect: a=same_bucket, b=same_bucket, c=same_bucket; cut
SELECT a.path, c.bucket, b.x FROM a JOIN b ON a.path = b.path JOIN c ON c.path = b.path
-- view: chain of joins, one of them global
-- expect: a=same_bucket, b=whole, c=same_bucket; cut
SELECT a.path, a.bucket, b.x, c.id FROM a JOIN b ON a.id = b.id JOIN c ON c.path = a.path
-- view: global join of two co-partitioned pairs
-- expect: a=same_bucket, b=same_bucket, c=whole; cut
SELECT t.path, t.bucket, c.x FROM (SELECT a.path, a.bucket, b.id FROM a JOIN b ON a.path = b.path) t JOIN c ON c.id = t.id
-- view: recursion inside a path
-- expect: a=same_bucket, b=same_bucket; cut
WITH RECURSIVE r AS (
    SELECT path, bucket, id FROM a
    UNION SELECT r.path, r.bucket, b.id FROM r JOIN b ON r.path = b.path AND b.id = r.id + 1
) SELECT path, bucket, id FROM r
-- view: recursion across paths
-- expect: a=same_bucket, e=whole; cut
WITH RECURSIVE r AS (
    SELECT path, bucket, id FROM a
    UNION SELECT r.path, r.bucket, e.dst FROM r JOIN e ON e.src = r.id
) SELECT path, bucket, id FROM r
-- view: recursion that hands on another path
-- expect: a=whole, b=whole; one piece
WITH RECURSIVE r AS (
    SELECT path, bucket, id FROM a
    UNION SELECT b.path, b.bucket, b.id FROM r JOIN b ON b.id = r.id + 1
) SELECT path, bucket, id FROM r
-- view: recursion that goes on without its working table
-- expect: a=whole, b=whole; one piece
WITH RECURSIVE r AS (
    SELECT path, bucket, id FROM a
    UNION SELECT b.path, b.bucket, r.id FROM b LEFT JOIN r ON b.path = r.path
) SELECT path, bucket, id FROM r
-- view: unnest
-- expect: a=same_bucket; cut
SELECT path, bucket, unnest([id, 0]) AS v FROM a
-- view: common table read once by bucket and once whole
-- expect: a=whole; cut
WITH t AS (SELECT path, bucket, id FROM a WHERE x IS NOT NULL)
SELECT l.path, l.bucket, (SELECT count(*) FROM t) AS n FROM t l
-- view: lateral join by path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, a.bucket, t.top FROM a, LATERAL (SELECT max(b.id) AS top FROM b WHERE b.path = a.path) t
-- view: null-safe join on path
-- expect: a=same_bucket, b=same_bucket; cut
SELECT a.path, a.bucket, b.id FROM a JOIN b ON a.path IS NOT DISTINCT FROM b.path
-- view: no rows
-- expect: a=same_bucket; cut
SELECT path, bucket, id FROM a WHERE 1 = 0
-- view: VALUES
-- expect: ; one piece
SELECT column1 AS path, CAST(column2 AS int) AS bucket FROM (VALUES ('p', 1))
-- view: VALUES joined
-- expect: a=same_bucket; cut
SELECT a.path, a.bucket, v.n FROM a JOIN (VALUES (1, 'one')) v(k, n) ON v.k = a.id
