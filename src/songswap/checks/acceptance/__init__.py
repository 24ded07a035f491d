"""Acceptance checks, which the test DAGs run: production's own code on data of their own.

Each check writes what it needs, compares what the code does with values written by hand, and
removes what it wrote. The data files are in ``dags/tests/data``.
"""
