-- semantic_id: semantic.cpg_props_v1
-- grain: one row per node and property
SELECT p.node_id AS entity_id, 'node' AS entity, p.key, p.value, p.value_type, p.path, p.bucket
FROM ast_props AS p
UNION ALL
SELECT d.node_id, 'node', 'docstring', d.docstring, 'str', d.path, d.bucket
FROM definitions AS d
WHERE d.docstring IS NOT NULL
UNION ALL
SELECT d.node_id, 'node', 'is_generator', 'True', 'bool', d.path, d.bucket
FROM definitions AS d
WHERE d.is_generator
UNION ALL
SELECT d.node_id, 'node', 'is_async', 'True', 'bool', d.path, d.bucket
FROM definitions AS d
WHERE d.is_async
UNION ALL
SELECT p.node_id, 'node', 'parameter_kind', p.kind, 'str', p.path, p.bucket
FROM parameters AS p
UNION ALL
SELECT p.node_id, 'node', 'position', CAST(p.position AS VARCHAR), 'int', p.path, p.bucket
FROM parameters AS p
UNION ALL
SELECT b.binding_id, 'node', 'bound_by', b.kind, 'str', b.path, b.bucket
FROM bindings AS b
UNION ALL
SELECT u.node_id, 'node', 'is_reachable', 'False', 'bool', u.path, u.bucket
FROM unreachable_nodes AS u
UNION ALL
SELECT u.node_id, 'node', 'undefined', u.certainty, 'str', u.path, u.bucket
FROM undefined_uses AS u
