"""Every number in README and docs: ``make bench`` runs the parts, each on real services.

    python -m benchmarks ──▶ part.run(folder, on_progress) ──▶ Measurements ──▶ table, results.json

A part compares each value with a reference that is measured in the same run.
"""
