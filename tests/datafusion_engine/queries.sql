-- Queries over the tables of `tables.py`. Each stands under a line `-- query: what it is about`.
-- query: projection
SELECT path, id FROM a
-- query: star
SELECT * FROM g
-- query: qualified star
SELECT a.* FROM a JOIN g ON a.id = g.id
-- query: star without a column
SELECT * EXCLUDE (x) FROM a
-- query: count of rows reads no column
SELECT count(*) AS n FROM a
-- query: filter
SELECT path FROM a WHERE x = 'q' AND id > 3
-- query: filter that is always false
SELECT path, id FROM a WHERE 1 = 0
-- query: star and a filter that is always false
SELECT * FROM g WHERE 1 = 0
-- query: filter that is always true
SELECT path FROM a WHERE 1 = 1 OR x = 'z'
-- query: union with an empty branch
SELECT path FROM a UNION ALL SELECT path FROM b WHERE 1 = 0
-- query: column named only in a derived table
SELECT path FROM (SELECT path, id, x FROM a) t
-- query: computed column thrown away
SELECT path FROM (SELECT path, upper(x) AS u FROM a) t
-- query: inner join
SELECT a.path, b.x FROM a JOIN b ON a.path = b.path
-- query: join using
SELECT path, g.n FROM a JOIN b USING (path) JOIN g ON g.id = b.id
-- query: natural join
SELECT n FROM a NATURAL JOIN g
-- query: left join
SELECT a.path, b.id FROM a LEFT JOIN b ON a.path = b.path AND b.x = 'q'
-- query: right join
SELECT a.path, b.id FROM a RIGHT JOIN b ON a.id = b.id
-- query: full join
SELECT coalesce(a.path, b.path) AS path FROM a FULL JOIN b ON a.id = b.id
-- query: cross join
SELECT a.path, g.n FROM a CROSS JOIN g
-- query: comma join
SELECT a.path, g.n FROM a, g WHERE a.id = g.id
-- query: join on an inequality
SELECT a.path FROM a JOIN b ON a.id < b.id
-- query: join on an expression
SELECT a.path FROM a JOIN b ON upper(a.path) = b.x
-- query: join on a disjunction
SELECT a.path FROM a JOIN b ON a.path = b.path OR a.id = b.id
-- query: left semi join
SELECT a.path FROM a LEFT SEMI JOIN b ON a.id = b.id
-- query: left anti join
SELECT a.path FROM a LEFT ANTI JOIN b ON a.id = b.id
-- query: self join
SELECT l.path, r.x FROM a l JOIN a r ON l.id = r.bucket
-- query: unused left join stays an input
SELECT a.path FROM a LEFT JOIN g ON a.id = g.id
-- query: three tables
SELECT a.path, e.dst FROM a JOIN e ON e.src = a.id JOIN b ON b.id = e.dst WHERE b.bucket = 2
-- query: uncorrelated scalar subquery in a filter
SELECT path FROM a WHERE id = (SELECT max(id) FROM b)
-- query: uncorrelated scalar subquery in the select list
SELECT path, (SELECT max(n) FROM g WHERE m > 1) AS top FROM a
-- query: correlated scalar subquery
SELECT path, (SELECT max(b.id) FROM b WHERE b.path = a.path) AS top FROM a
-- query: nested scalar subqueries
SELECT path FROM a WHERE id > (SELECT min(id) FROM b WHERE bucket < (SELECT max(m) FROM g))
-- query: scalar subquery in an aggregate filter
SELECT path, sum(id) FILTER (WHERE id > (SELECT min(src) FROM e)) AS s FROM a GROUP BY path
-- query: scalar subquery in HAVING
SELECT path FROM a GROUP BY path HAVING count(*) > (SELECT count(*) FROM b WHERE x = 'q')
-- query: scalar subquery in CASE
SELECT CASE WHEN id > (SELECT max(dst) FROM e) THEN 'far' ELSE x END AS y FROM a
-- query: scalar subquery on both sides
SELECT path FROM a WHERE (SELECT min(src) FROM e) < (SELECT max(m) FROM g)
-- query: IN subquery
SELECT path FROM a WHERE id IN (SELECT src FROM e)
-- query: NOT IN subquery
SELECT path FROM a WHERE id NOT IN (SELECT src FROM e WHERE dst > 2)
-- query: correlated NOT IN
SELECT path FROM a WHERE x NOT IN (SELECT b.x FROM b WHERE b.path = a.path)
-- query: IN subquery under OR
SELECT path FROM a WHERE id IN (SELECT src FROM e) OR x = 'z'
-- query: IN subquery in CASE
SELECT path, CASE WHEN id IN (SELECT src FROM e) THEN 1 ELSE 0 END AS hit FROM a
-- query: EXISTS subquery
SELECT path FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.path = a.path)
-- query: EXISTS with a star
SELECT path FROM a WHERE EXISTS (SELECT * FROM b WHERE b.id = a.id)
-- query: NOT EXISTS
SELECT path FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.id = a.id AND b.x = 'q')
-- query: EXISTS in CASE
SELECT path, CASE WHEN EXISTS (SELECT 1 FROM g WHERE n = 'q') THEN 1 END AS hit FROM a
-- query: correlated EXISTS in CASE
SELECT path, CASE WHEN EXISTS (SELECT 1 FROM b WHERE b.path = a.path) THEN 1 END AS hit FROM a
-- query: uncorrelated EXISTS
SELECT path FROM a WHERE EXISTS (SELECT id FROM g)
-- query: comparison with ALL
SELECT path FROM a WHERE id > ALL (SELECT src FROM e)
-- query: comparison with ANY
SELECT path FROM a WHERE id = ANY (SELECT src FROM e)
-- query: subquery in FROM inside a subquery in WHERE
SELECT path FROM a WHERE id IN (SELECT d FROM (SELECT dst AS d, src FROM e) t WHERE d > 1)
-- query: two levels of correlation
SELECT path FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.id = a.id AND EXISTS (SELECT 1 FROM e WHERE e.src = b.id))
-- query: common table
WITH t AS (SELECT path, id FROM a WHERE x = 'q') SELECT path FROM t
-- query: common table read twice
WITH t AS (SELECT path, id FROM a) SELECT l.path FROM t l JOIN t r ON l.id = r.id
-- query: common table of common tables
WITH t AS (SELECT id FROM a), u AS (SELECT t.id, g.n FROM t JOIN g ON t.id = g.id) SELECT n FROM u
-- query: common table that shadows a table
WITH g AS (SELECT id, x AS n FROM b) SELECT n FROM g
-- query: common table of its own name
WITH a AS (SELECT path FROM a WHERE id > 1) SELECT path FROM a
-- query: common table nobody reads
WITH t AS (SELECT src FROM e) SELECT path FROM a
-- query: common table inside a subquery
SELECT path FROM a WHERE id IN (WITH t AS (SELECT dst FROM e) SELECT dst FROM t)
-- query: recursion
WITH RECURSIVE r AS (SELECT src, dst FROM e UNION ALL SELECT r.src, e.dst FROM r JOIN e ON r.dst = e.src) SELECT * FROM r
-- query: distinct recursion with a filter outside
WITH RECURSIVE r AS (SELECT id, 0 AS d FROM a UNION SELECT e.dst, r.d + 1 FROM r JOIN e ON e.src = r.id WHERE r.d < 3)
SELECT id FROM r WHERE d > 0
-- query: recursion over constants
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT a.path, r.n FROM a JOIN r ON a.id = r.n
-- query: recursion named like a table
WITH RECURSIVE b AS (SELECT src FROM e UNION ALL SELECT src + 1 FROM b WHERE src < 3) SELECT src FROM b
-- query: window
SELECT path, row_number() OVER (PARTITION BY path ORDER BY id) AS r FROM a
-- query: two windows
SELECT path, sum(id) OVER (PARTITION BY bucket) AS s, lag(x) OVER (ORDER BY id) AS l FROM a
-- query: window frame
SELECT sum(id) OVER (ORDER BY bucket ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM a
-- query: QUALIFY
SELECT path FROM a QUALIFY row_number() OVER (PARTITION BY x ORDER BY id) = 1
-- query: window thrown away
SELECT path FROM (SELECT path, row_number() OVER (ORDER BY id) AS r FROM a) t
-- query: grouping
SELECT path, count(*) AS n, max(id) AS top FROM a GROUP BY path
-- query: grouping by an expression
SELECT upper(x) AS u, min(id) AS low FROM a GROUP BY upper(x)
-- query: grouping by position
SELECT x, count(DISTINCT id) AS n FROM a GROUP BY 1
-- query: ordered aggregate
SELECT path, array_agg(x ORDER BY id) AS xs FROM a GROUP BY path
-- query: HAVING
SELECT path FROM a GROUP BY path HAVING sum(id) > 3
-- query: grouping sets
SELECT path, bucket, sum(id) AS s FROM a GROUP BY GROUPING SETS ((path), (bucket), ())
-- query: ROLLUP
SELECT path, x, count(*) AS n FROM a GROUP BY ROLLUP (path, x)
-- query: CUBE
SELECT bucket, x, count(id) AS n FROM a GROUP BY CUBE (bucket, x)
-- query: DISTINCT
SELECT DISTINCT path, bucket FROM a
-- query: DISTINCT ON
SELECT DISTINCT ON (path) path, id FROM a ORDER BY path, x
-- query: UNION
SELECT path FROM a UNION SELECT x FROM b
-- query: UNION ALL of three
SELECT id FROM a UNION ALL SELECT src FROM e UNION ALL SELECT m FROM g
-- query: INTERSECT
SELECT path, id FROM a INTERSECT SELECT path, id FROM b
-- query: EXCEPT
SELECT path FROM a EXCEPT SELECT path FROM b WHERE id > 1
-- query: EXCEPT ALL
SELECT id FROM a EXCEPT ALL SELECT src FROM e
-- query: ORDER BY a column that is not selected
SELECT path FROM a ORDER BY id
-- query: LIMIT
SELECT path FROM a ORDER BY x LIMIT 3 OFFSET 1
-- query: LIMIT in a derived table
SELECT t.path FROM (SELECT path, id FROM a ORDER BY bucket LIMIT 2) t JOIN g ON g.id = t.id
-- query: unnest in the select list
SELECT k, unnest(tags) AS tag FROM nums
-- query: unnest of a struct
SELECT k, unnest(info) FROM nums
-- query: unnest thrown away but for its rows
SELECT k FROM (SELECT k, unnest(tags) AS tag FROM nums) t
-- query: unnest in FROM
SELECT u.v FROM unnest([1, 2, 3]) AS u(v)
-- query: struct field
SELECT info['p'] AS p FROM nums WHERE tags[1] = 'q'
-- query: lateral join
SELECT a.path, t.top FROM a, LATERAL (SELECT max(b.id) AS top FROM b WHERE b.path = a.path) t
-- query: lateral left join
SELECT a.path, t.top FROM a LEFT JOIN LATERAL (SELECT sum(b.id) AS top FROM b WHERE b.path = a.path) t ON true
-- query: VALUES
SELECT * FROM (VALUES (1, 'p'), (2, 'q')) v(k, name)
-- query: VALUES joined
SELECT a.path, v.name FROM a JOIN (VALUES (1, 'p')) v(k, name) ON v.k = a.id
-- query: table function
SELECT a.path, s.value FROM a JOIN generate_series(1, 3) s ON a.id = s.value
-- query: quoted table and columns
SELECT "Col A", m."key" FROM "Mixed" m WHERE m."Val.ue" > 1
-- query: unquoted upper case
SELECT PATH, Id FROM A WHERE X IS NULL
-- query: column with a dot and a quote
SELECT upper("Col A") AS u FROM "Mixed" WHERE "Val.ue" BETWEEN 1 AND 2
-- query: fully qualified table
SELECT datafusion.public.a.path FROM datafusion.public.a
-- query: newline in a literal
SELECT path FROM a WHERE x = 'one
two' AND id > (SELECT max(src) FROM e WHERE dst = 3)
-- query: newline in a literal of a subquery
SELECT path FROM a WHERE id = (SELECT max(id) FROM b WHERE x = 'one
two')
-- query: literal that looks like SQL
SELECT path FROM a WHERE x = 'SELECT n FROM g -- id' AND path <> '/* e */'
-- query: comments
SELECT /* id, */ path -- , x
FROM a /* JOIN b /* nested */ ON true */
-- query: CASE
SELECT CASE x WHEN 'q' THEN id WHEN 'r' THEN bucket ELSE 0 END AS y FROM a
-- query: null-safe comparison
SELECT a.path FROM a JOIN b ON a.x IS NOT DISTINCT FROM b.x
-- query: LIKE, BETWEEN, IN list, casts
SELECT path FROM a WHERE x LIKE 'q%' AND id BETWEEN 1 AND 3 AND bucket IN (1, 2) AND CAST(id AS varchar) <> '7'
-- query: custom function
SELECT shout(x) AS loud FROM a WHERE shout(path) <> 'P!'
-- query: aggregate over a join over a grouping
SELECT t.x, count(*) AS n FROM (SELECT x, max(id) AS id FROM a GROUP BY x) t JOIN g ON g.id = t.id GROUP BY t.x
-- query: everything at once
WITH hot AS (SELECT path, id, row_number() OVER (PARTITION BY path ORDER BY id DESC) AS r FROM a WHERE x IS NOT NULL)
SELECT h.path, count(DISTINCT e.dst) AS n FROM hot h JOIN e ON e.src = h.id
WHERE h.r < 3 AND h.id NOT IN (SELECT id FROM g WHERE n = 'skip') GROUP BY h.path HAVING count(*) > 1 ORDER BY n LIMIT 5
