"""Every figure of README and docs: ``make bench`` runs the parts, each on real services.

    python -m benchmarks ──▶ part(folder, told) ──▶ Figures ──▶ a table, results.json

A part yields figures, each held against a reference that is measured in the same run.
"""
