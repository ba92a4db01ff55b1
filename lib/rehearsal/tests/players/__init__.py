"""Players: a package, so that its definitions are made once, and gone before other tests."""
