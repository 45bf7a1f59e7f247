"""Accidents that are done to a real workflow, and what has to be true after each.

`python -m tests.faults` (`make faults`) runs them for half an hour and writes what it counted to
`benchmarks/results/faults.json`; `docs/reliability.md` shows it. tests/faults/test_faults.py is the
part that the ordinary tests run.
"""
