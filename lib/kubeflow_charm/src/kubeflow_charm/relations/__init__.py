"""The relation interfaces, one module each: `Requires.get()` reads, `Provides.send()` writes."""
