"""Programs that take minutes or hours, each a nox session of its own."""
