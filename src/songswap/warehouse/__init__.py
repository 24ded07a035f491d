"""The platform's PostgreSQL: its tables, the pipeline's own schema, and every statement on them."""
