"""Tables -> pictures; beside `report`, below `cli`."""
