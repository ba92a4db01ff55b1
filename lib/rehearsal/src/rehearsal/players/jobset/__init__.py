"""JobSet: several Jobs that begin, fail, start again and succeed as one."""
