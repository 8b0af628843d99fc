"""From text to a checked document to a plan."""
