-- Classes of the values that expressions, variables and parameters may have.
-- grain: one row per node and class
-- key: node_id, type_id
SELECT s.node_id, r.target_id AS type_id, r.target_name AS type, max(r.confidence) AS confidence, r.path, r.bucket
FROM resolutions AS r
JOIN value_slots AS s ON s.path = r.path AND s.slot_id = r.slot_id
WHERE r.relation = 'type'
GROUP BY s.node_id, r.target_id, r.target_name, r.path, r.bucket
UNION ALL
SELECT b.binding_id, r.target_id, r.target_name, r.confidence, r.path, r.bucket
FROM resolutions AS r
JOIN bindings AS b ON b.path = r.path AND b.binding_id = r.slot_id
WHERE r.relation = 'type'
