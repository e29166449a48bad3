"""The charts by theme. Each takes a chapter and gives what it drew, or in words why there is nothing to draw."""
