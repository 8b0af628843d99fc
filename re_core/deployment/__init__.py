"""What a deployment does: pure, from event to records and effects."""
