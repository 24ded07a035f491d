-- Artists. Whoever writes them first inserts all that are new, in the order of ids, and then locks those
-- that exist, in the order of ids: so no two wait for each other.

-- name: insert
-- Returns those that are new. Waits for others who insert the same.
INSERT INTO "Artists" (id, name)
SELECT id, name FROM unnest(%(ids)s::text[], %(names)s::text[]) s (id, name)
ORDER BY id
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: lock
-- With the names that they have by then.
SELECT id, coalesce(name, '') FROM "Artists" WHERE id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE

-- name: names
SELECT id, coalesce(name, '') FROM "Artists" WHERE id = ANY (%(ids)s)

-- name: change
UPDATE "Artists" a SET name = s.name
FROM unnest(%(ids)s::text[], %(names)s::text[]) s (id, name)
WHERE a.id = s.id
