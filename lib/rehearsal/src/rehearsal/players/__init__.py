"""What programs in pods would do, where others depend on it: a rehearsal's pods have none inside."""
