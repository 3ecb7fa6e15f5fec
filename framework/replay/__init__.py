"""Replay: the stored steps of the environments, and a sampler of sequences."""
