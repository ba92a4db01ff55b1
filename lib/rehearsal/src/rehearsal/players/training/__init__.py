"""The training operator: six kinds of distributed jobs, their pods, services and pod groups."""
