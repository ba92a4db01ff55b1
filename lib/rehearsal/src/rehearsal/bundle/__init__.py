"""What a bundle file says, and what is wrong with it."""
