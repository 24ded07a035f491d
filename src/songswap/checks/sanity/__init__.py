"""Sanity checks: is each service there, set right, and does it do what the pipeline needs of it.

A check is a short list of steps. Airflow runs each step as a task of its own (``dags/sanity/``),
``songswap check`` all of them in a terminal.
"""
