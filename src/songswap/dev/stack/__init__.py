"""The embedded stack: PostgreSQL, S3, the simulator and Airflow, started and stopped together."""
