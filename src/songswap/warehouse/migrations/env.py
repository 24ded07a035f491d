"""How Alembic runs here: on the connection that `songswap.warehouse.migrate` hands it."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="songswap",
)
with context.begin_transaction():
    context.run_migrations()
