"""Which workers live, what they offer, and who gets a step."""
