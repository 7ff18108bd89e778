"""Other packages on the same work; a script each, run by the Python of an environment of its own."""
