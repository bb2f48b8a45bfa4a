-- What attributes, imported names and keywords of calls refer to, across files; `kind` BINDS where they are assigned to.
-- grain: one row per node and what it may be
-- key: node_id, target_id, kind
SELECT
    s.node_id, r.target_id, CASE WHEN r.relation = 'binds' THEN 'BINDS' ELSE 'REF' END AS kind, r.origin AS how,
    max(r.confidence) AS confidence, r.path, r.bucket
FROM resolutions AS r
JOIN value_slots AS s ON s.path = r.path AND s.slot_id = r.slot_id
WHERE r.relation IN ('ref', 'binds')
GROUP BY s.node_id, r.target_id, r.relation, r.origin, r.path, r.bucket
