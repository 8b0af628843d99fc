"""Tests of apps as pure values: tables, fold, documents."""
