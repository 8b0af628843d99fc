"""Which hosts there are, and which of them a playbook's patterns mean. Pure: texts come in, an `Inventory` goes out.

Begin with `reading.read_inventory`; the words are in docs/glossary.md. Must not know where texts come from, nor how a host is reached.
"""
