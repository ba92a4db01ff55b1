"""Read bundle files and find their errors."""
