"""The catalogue: steps that act on hosts, by what hosts have anyway. Must not know how a host is reached."""
