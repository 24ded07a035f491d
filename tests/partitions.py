"""``History`` in partitions by a hash of its users, as it would be kept for millions of them."""

import psycopg

PARTS = 4


def partition(dsn: str) -> None:
    """Make ``History`` anew, with the same columns, indexes and foreign keys, in partitions."""
    with psycopg.connect(dsn) as owner:
        foreign_keys = owner.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'public.\"History\"'::regclass AND contype = 'f'"
        ).fetchall()
        statements = [
            'CREATE TABLE public.parted (LIKE public."History" INCLUDING ALL)'
            " PARTITION BY HASH (user_id)",
            'DROP TABLE public."History"',
            'ALTER TABLE public.parted RENAME TO "History"',
            *(
                f'CREATE TABLE public."History{part}" PARTITION OF public."History"'
                f" FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part})"
                for part in range(PARTS)
            ),
            *(f'ALTER TABLE public."History" ADD {definition}' for (definition,) in foreign_keys),
        ]
        owner.execute("; ".join(statements).encode())
