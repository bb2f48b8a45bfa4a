-- semantic_id: semantic.cpg_edges_v1
-- grain: one row per edge
SELECT a.parent_id AS src, a.node_id AS dst, 'AST' AS kind, a.field AS label, a.ordinal, 'ast_nodes' AS origin,
    CAST(1 AS FLOAT) AS confidence, a.path, a.bucket
FROM ast_nodes AS a
WHERE a.parent_id IS NOT NULL
UNION ALL
SELECT a.owner_id, a.node_id, 'CONTAINS', '', 0, 'ast_nodes', CAST(1 AS FLOAT), a.path, a.bucket
FROM ast_nodes AS a
JOIN node_kinds AS k ON k.kind = a.kind
WHERE k.contained AND a.owner_id <> a.node_id
UNION ALL
SELECT g.call_id, g.node_id, 'ARGUMENT', coalesce(g.keyword, ''), g.position, 'arguments', CAST(1 AS FLOAT), g.path,
    g.bucket
FROM arguments AS g
UNION ALL
SELECT c.node_id, c.receiver_id, 'RECEIVER', '', 0, 'calls', CAST(1 AS FLOAT), c.path, c.bucket
FROM calls AS c
WHERE c.receiver_id IS NOT NULL
UNION ALL
SELECT b.node_id, b.binding_id, 'BINDS', b.how, 0, 'binders', CAST(1 AS FLOAT), b.path, b.bucket
FROM binders AS b
UNION ALL
SELECT r.node_id, r.target_id, 'REF', r.resolution, 0, 'references', CAST(1 AS FLOAT), r.path, r.bucket
FROM "references" AS r
WHERE r.target_id IS NOT NULL
UNION ALL
SELECT i.src, i.dst, 'IMPORTS', i.label, 0, 'import_edges', CAST(1 AS FLOAT), i.path, i.bucket
FROM import_edges AS i
UNION ALL
SELECT c.site_id, c.callee_id, 'CALL', '', 0, c.origin, c.confidence, c.path, c.bucket
FROM call_graph AS c
UNION ALL
SELECT a.node_id, a.target_id, a.kind, a.how, 0, 'attribute_references', a.confidence, a.path, a.bucket
FROM attribute_references AS a
UNION ALL
SELECT h.class_id, h.base_id, 'INHERITS_FROM', '', h.position, 'class_hierarchy', CAST(1 AS FLOAT), h.path, h.bucket
FROM class_hierarchy AS h
UNION ALL
SELECT t.node_id, t.type_id, 'EVAL_TYPE', '', 0, 'evaluated_types', t.confidence, t.path, t.bucket
FROM evaluated_types AS t
UNION ALL
SELECT f.unit_id, f.node_id, 'CONTAINS', lower(f.kind), 0, 'flow_nodes', CAST(1 AS FLOAT), f.path, f.bucket
FROM flow_nodes AS f
UNION ALL
SELECT c.src, c.dst, 'CFG', c.label, 0, 'cfg_edges', CAST(1 AS FLOAT), c.path, c.bucket
FROM cfg_edges AS c
UNION ALL
SELECT c.src, c.dst, 'DOMINATE', '', 0, 'cfg_edges', CAST(1 AS FLOAT), c.path, c.bucket
FROM cfg_edges AS c
WHERE c.is_straight
UNION ALL
SELECT c.dst, c.src, 'POST_DOMINATE', '', 0, 'cfg_edges', CAST(1 AS FLOAT), c.path, c.bucket
FROM cfg_edges AS c
WHERE c.is_straight
UNION ALL
SELECT d.src, d.dst, d.kind, d.label, 0, 'dominance_edges', CAST(1 AS FLOAT), d.path, d.bucket
FROM dominance_edges AS d
UNION ALL
SELECT r.src, r.dst, 'REACHING_DEF', r.name, 0, 'reaching_definitions', r.confidence, r.path, r.bucket
FROM reaching_definitions AS r
