"""Where a run is recorded: a local mirror that always works, MLflow behind a writer thread, and the line on the terminal."""
