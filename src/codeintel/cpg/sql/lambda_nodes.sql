-- Lambdas by their slot, which moves with fewer edits than their node does.
-- grain: one row per lambda
-- key: slot_id
SELECT s.slot_id, s.node_id, s.path, s.bucket
FROM value_slots AS s
JOIN definitions AS d ON d.path = s.path AND d.node_id = s.node_id
WHERE d.kind = 'Lambda'
