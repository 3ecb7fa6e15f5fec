"""The pictures of the laboratory, one module for each kind."""
