"""What a profile adds to the lowering of PTX: the notes of each thread, merged loads, and chains of instructions."""
