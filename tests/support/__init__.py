"""What several tests share: strategies, ways to run things, a browser."""
