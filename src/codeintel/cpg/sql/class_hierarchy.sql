-- grain: one row per class and resolved base
-- key: class_id, position
SELECT d.node_id AS class_id, r.ordinal AS position, r.target_id AS base_id, r.target_name AS base, r.path, r.bucket
FROM resolutions AS r
JOIN definitions AS d ON d.path = r.path AND d.node_id = r.slot_id
WHERE r.relation = 'inherits'
