-- grain: one row per module of the repository
-- key: module_id
SELECT d.node_id AS module_id, d.qualname AS module, d.path, d.bucket
FROM definitions AS d
WHERE d.kind = 'Module'
