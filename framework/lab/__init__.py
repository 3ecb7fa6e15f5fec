"""The laboratory: what critics, strategies and bounds really do, against known truth and without training an agent."""
