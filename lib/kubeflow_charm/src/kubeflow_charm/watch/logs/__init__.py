"""Send the logs of the application's pods to every related Loki.

Pebble forwards only the logs of a charm's own containers, and our workloads are Deployments. Collectors such
as Promtail, Fluent Bit and Vector read the files on the node: as root, by `hostPath`, which the Pod Security
Standards `baseline` and `restricted` refuse, and with them the logs of all users' pods of that node. Grafana
Alloy can read through the API server, but would be one more pod, and an image of 100 MB, for each charm. The
process beside the charm runs anyway, with the charm's own account. So it follows the logs of our pods by the
API server (`GET .../pods/NAME/log`), and sends them by Loki's push API.

Each Loki has its own readers, buffer and positions: one that is slow or away holds up no other. A full buffer
lets readers wait, and a reader that waits leaves the rest of the log on the node. So memory is bounded.
"""
