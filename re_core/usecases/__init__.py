"""The verbs that the front ends share."""
