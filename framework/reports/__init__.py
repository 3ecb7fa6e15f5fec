"""Reports over many runs: their evaluations, the statistics over seeds and tasks, published returns beside them, as one page."""
