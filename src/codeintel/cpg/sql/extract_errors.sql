-- semantic_id: semantic.extract_errors_v1
-- grain: one row per fault of a file
SELECT e.path, e.stage, e.ordinal, e.error, e.message, e.line, e.col, e.recovered, e.bucket
FROM file_errors AS e
