"""Recipes, and by them what is stale, what is left to do and what evidence can give back."""
