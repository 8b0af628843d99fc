"""Apps: what is pushed becomes numbered versions that run in zones (docs/dploy-machines.md). Pure: tables, fold, documents."""
