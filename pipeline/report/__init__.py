"""The page of a grid for people, and what lies behind each number of its tables."""
