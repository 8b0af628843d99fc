"""The engine: pure model and machine, ports, adapters, sequencer. Must not know Flask, workers or the command line."""
