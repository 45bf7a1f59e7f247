"""From archives to frozen episodes: the data sets, their parsers, task sets and task pools."""
