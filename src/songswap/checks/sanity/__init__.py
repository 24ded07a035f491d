"""Sanity checks: each service is reachable, configured right, and does what the pipeline needs.

A check is a short list of steps. Airflow runs each step as a task (``dags/sanity/``), and
``songswap check`` runs all of them in a terminal.
"""
