"""The checks of checked mode: what is woven into a kernel, and what it notes while it runs."""
