"""Benchmarks: the speed of an update, an action, an environment, the replay and a whole run, beside the limits of the machine."""
