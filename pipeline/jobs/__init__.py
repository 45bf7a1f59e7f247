"""Recipes, what is stale, plan, restore; above `runs` and `studies`, below `tables`."""
