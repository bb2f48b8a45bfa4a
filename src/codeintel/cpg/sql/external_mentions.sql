-- What a file mentions from outside the repository: which names it reads and imports, and what it calls and inherits.
-- grain: one row per file and import path
-- key: path, node_id, qualname
SELECT n.external_id AS node_id, n.name AS qualname, n.path, n.bucket FROM external_names AS n
UNION
SELECT i.dst, i.name, i.path, i.bucket FROM import_edges AS i WHERE i.is_external
UNION
SELECT r.target_id, r.target_name, r.path, r.bucket FROM resolutions AS r WHERE r.target_kind = 'external'
