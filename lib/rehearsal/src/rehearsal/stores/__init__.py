"""Object stores, played: as much of MinIO as those ask of it who administer one."""
