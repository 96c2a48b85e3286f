"""One stack's configuration: models that import nothing outside of here but leaves, what goes together (validate), and its reading (load)."""
