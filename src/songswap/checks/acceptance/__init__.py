"""What the test DAGs do: production's own code on data of their own, held against literals.

Each proof makes what it needs, checks what the code gives against rows that are written out by
hand, and removes what it made. The data files lie with the DAGs, in ``dags/tests/data``.
"""
