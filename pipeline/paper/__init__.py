"""What is said of this paper's claims; above `tables`, below `figures` and `report`."""
