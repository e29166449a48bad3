"""Several sources on one page."""
