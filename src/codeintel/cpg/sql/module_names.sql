-- grain: one row per module name; the first file by path stands for names that several files share
-- key: module
SELECT m.module, first_value(m.module_id ORDER BY m.path) AS module_id
FROM modules AS m
GROUP BY m.module
