"""The only package that imports Airflow: its connections become settings, its tasks use cases."""
