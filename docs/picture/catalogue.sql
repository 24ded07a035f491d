-- What the picture of all tables shows of the catalogue. A table's name has its schema before it.

-- name: columns
SELECT nspname || '.' || relname, attname, format_type(atttypid, atttypmod),
  coalesce(attnum = ANY (k.conkey), false), NOT attnotnull
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE nspname IN ('public', 'songswap') AND relkind IN ('r', 'p')
ORDER BY 1, attnum

-- name: references
SELECT n.nspname || '.' || c.relname, a.attname, m.nspname || '.' || t.relname, b.attname
FROM pg_constraint k
CROSS JOIN LATERAL unnest(conkey, confkey) AS pair (own, theirs)
JOIN pg_class c ON c.oid = conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = own
JOIN pg_class t ON t.oid = confrelid
JOIN pg_namespace m ON m.oid = t.relnamespace
JOIN pg_attribute b ON b.attrelid = t.oid AND b.attnum = theirs
WHERE contype = 'f' AND n.nspname IN ('public', 'songswap')
ORDER BY 3, 1, 2
