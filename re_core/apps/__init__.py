"""Apps: what is pushed becomes numbered versions that run in zones. Pure: events, records, fold."""
