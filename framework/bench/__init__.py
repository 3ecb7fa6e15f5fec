"""The bench: how fast an update, an action, an environment, the replay and a whole run are, against what the machine can do."""
