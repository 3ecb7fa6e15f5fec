"""Sweeps: the product of recipes, seeds and settings, trained in processes of their own. `framework.sweep` is the function."""
