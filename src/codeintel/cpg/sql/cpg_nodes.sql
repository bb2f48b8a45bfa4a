-- semantic_id: semantic.cpg_nodes_v1
-- grain: one row per node
SELECT
    a.node_id, a.kind, k.label, a.path, nullif(a.owner_id, a.node_id) AS owner_id, coalesce(a.name, k.operator) AS name, a.qualname,
    a.bstart, a.bend, a.ctx, a.line, a.col, a.end_line, a.end_col, a.bucket
FROM ast_nodes AS a
JOIN node_kinds AS k ON k.kind = a.kind
UNION ALL
SELECT
    b.binding_id AS node_id, 'Binding' AS kind, 'LOCAL' AS label, b.path, b.scope_id AS owner_id, b.name, b.qualname,
    NULL AS bstart, NULL AS bend, NULL AS ctx, NULL AS line, NULL AS col, NULL AS end_line, NULL AS end_col, b.bucket
FROM bindings AS b
UNION ALL
SELECT
    e.node_id, 'External' AS kind, 'DEPENDENCY' AS label, e.path, NULL AS owner_id, e.qualname AS name, e.qualname,
    NULL AS bstart, NULL AS bend, NULL AS ctx, NULL AS line, NULL AS col, NULL AS end_line, NULL AS end_col, e.bucket
FROM external_nodes AS e
UNION ALL
SELECT
    r.target_id, 'Field' AS kind, 'MEMBER' AS label, r.path, r.slot_id AS owner_id,
    reverse(split_part(reverse(r.target_name), '.', 1)) AS name, r.target_name AS qualname,
    NULL AS bstart, NULL AS bend, NULL AS ctx, NULL AS line, NULL AS col, NULL AS end_line, NULL AS end_col, r.bucket
FROM resolutions AS r
WHERE r.relation = 'attribute'
UNION ALL
SELECT
    f.node_id, f.kind, k.label, f.path, f.owner_id, NULL AS name, NULL AS qualname,
    NULL AS bstart, NULL AS bend, NULL AS ctx, NULL AS line, NULL AS col, NULL AS end_line, NULL AS end_col, f.bucket
FROM flow_nodes AS f
JOIN node_kinds AS k ON k.kind = f.kind
