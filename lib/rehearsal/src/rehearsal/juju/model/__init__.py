"""What Juju knows: applications, units, relations, secrets, and the charms' own words about themselves."""
