"""Where secrets are kept, by the real programs."""
