module rehearsal/hook-tool

go 1.21
