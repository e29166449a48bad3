"""What the threads of a warp or a warpgroup do together: shuffles, votes, and products of matrices."""
