"""Pure tensor mathematics: no parameters, no random numbers, no configuration."""
