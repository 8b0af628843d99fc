"""Threads that look after things beside the sequencer."""
