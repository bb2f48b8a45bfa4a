-- semantic_id: semantic.files_v1
-- grain: one row per file
SELECT f.path, f.module, f.digest, f.bytes, p.lines, p.encoding, p.status, f.bucket
FROM repo_files AS f
JOIN parsed_files AS p ON p.path = f.path
