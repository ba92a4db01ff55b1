"""What drives a model: which hook comes next, what a hook leaves, and what happens by itself."""
