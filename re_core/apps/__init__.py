"""Apps: what is pushed becomes numbered releases that run in zones (docs/dploy-machines.md). Pure: tables, fold, documents."""
