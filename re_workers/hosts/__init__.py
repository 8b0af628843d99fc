"""Programs on hosts, each with a record there: begun at most once, and still known after a lost connection or a dead worker.

Begin with `runs.py`; docs/decisions/0034 says what is promised and why. Must not know the bus, nor which step a run belongs to.
"""
