-- semantic_id: semantic.unresolved_calls_v1
-- grain: one row per call not all of whose callees are known
SELECT s.node_id, r.origin AS reason, r.path, r.bucket
FROM resolutions AS r
JOIN value_slots AS s ON s.path = r.path AND s.slot_id = r.slot_id
WHERE r.relation = 'unresolved'
