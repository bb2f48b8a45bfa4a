-- Each import leads to the module it names: a submodule before the module that holds the name, the repository before
-- the outside world.
-- grain: one row per imported name
-- key: src, dst
SELECT
    i.node_id AS src,
    coalesce(t.module_id, i.external_id) AS dst,
    CASE WHEN t.is_holder THEN i.name ELSE '' END AS label,
    t.module_id IS NULL AS is_external,
    i.target AS name,
    i.path,
    i.bucket
FROM imports AS i
LEFT JOIN import_targets AS t ON t.node_id = i.node_id AND t.path = i.path AND t.bucket = i.bucket
