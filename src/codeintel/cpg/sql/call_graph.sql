-- grain: one row per call site, callee and way it was resolved
-- key: site_id, callee_id, origin
SELECT
    s.node_id AS site_id, coalesce(around.node_id, s.caller_id) AS caller_id, caller.qualname AS caller,
    coalesce(l.node_id, r.target_id) AS callee_id, r.target_name AS callee, r.target_kind AS callee_kind, r.origin,
    max(r.confidence) AS confidence, r.path, r.bucket
FROM resolutions AS r
JOIN value_slots AS s ON s.path = r.path AND s.slot_id = r.slot_id
LEFT JOIN lambda_nodes AS around ON around.path = r.path AND around.slot_id = s.caller_id
JOIN definitions AS caller ON caller.path = r.path AND caller.node_id = coalesce(around.node_id, s.caller_id)
LEFT JOIN lambda_nodes AS l ON l.slot_id = r.target_id
WHERE r.relation = 'call'
GROUP BY s.node_id, around.node_id, s.caller_id, caller.qualname, l.node_id, r.target_id, r.target_name, r.target_kind,
    r.origin, r.path, r.bucket
UNION ALL
SELECT
    b.node_id, b.caller_id, caller.qualname, b.callee_id, b.callee, 'external', 'call', CAST(0.95 AS FLOAT), b.path,
    b.bucket
FROM builtin_calls AS b
JOIN definitions AS caller ON caller.path = b.path AND caller.node_id = b.caller_id
