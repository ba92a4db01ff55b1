"""Images of the real node: what each is made of, and how it gets there."""
