"""Side-by-side measurements: our methods and the peers a user would pick, on the same work."""
