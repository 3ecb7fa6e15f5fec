"""What the laboratory and the benchmarks share: reports, times and memory."""
