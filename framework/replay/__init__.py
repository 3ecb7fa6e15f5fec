"""Replay: the steps that the environments gave are kept, and sequences of them drawn."""
