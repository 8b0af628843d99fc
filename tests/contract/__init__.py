"""One suite per port, run on every adapter: a new adapter is one more place in conftest.py."""
