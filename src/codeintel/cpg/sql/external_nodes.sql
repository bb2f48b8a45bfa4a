-- Names from outside the repository, all in the pseudo file of externals.
-- grain: one row per import path
-- key: node_id
SELECT e.node_id, e.qualname, f.path, f.bucket
FROM external_file AS f
CROSS JOIN (
    SELECT n.external_id AS node_id, n.name AS qualname FROM external_names AS n
    UNION
    SELECT i.dst AS node_id, i.name AS qualname FROM import_edges AS i WHERE i.is_external
    UNION
    SELECT r.target_id, r.target_name FROM resolutions AS r WHERE r.target_kind = 'external'
) AS e
