"""Which workers live, what they offer, and which of them gets a step."""
