-- Names from outside the repository, all in the pseudo file of externals.
-- grain: one row per import path
-- key: node_id
SELECT e.node_id, e.qualname, f.path, f.bucket
FROM external_file AS f
CROSS JOIN (SELECT DISTINCT m.node_id, m.qualname FROM external_mentions AS m) AS e
