module rehearsal/pause

go 1.26.0
