"""The schema of params, cards of methods and data sets, titles; above `data` only."""
