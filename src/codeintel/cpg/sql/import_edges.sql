-- Each import leads to the module it names: a submodule before the module that holds the name, the repository before
-- the outside world.
-- grain: one row per imported name
-- key: src, dst
SELECT
    i.node_id AS src,
    coalesce(named.module_id, holder.module_id, i.external_id) AS dst,
    CASE WHEN named.module_id IS NULL AND holder.module_id IS NOT NULL THEN i.name ELSE '' END AS label,
    named.module_id IS NULL AND holder.module_id IS NULL AS is_external,
    i.target AS name,
    i.path,
    i.bucket
FROM imports AS i
LEFT JOIN module_names AS named ON named.module = i.target
LEFT JOIN module_names AS holder ON holder.module = i.target_module
