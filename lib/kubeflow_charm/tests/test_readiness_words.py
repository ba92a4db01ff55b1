"""What a container that ends again and again said last."""

import pytest

from kubeflow_charm.cluster.readiness import last_words, pod_reason

STACK = "goroutine 1 [running]:\ngithub.com/golang/glog.Fatalf(...)\n\t/go/pkg/mod/glog.go:400 +0x1\n"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("starting\ncannot bind: address in use\n\n", "cannot bind: address in use"),
        (
            "I1124 13:01:02.000001       7 main.go:1] hello\n"
            "F1124 13:01:02.123456       7 client_manager.go:407] dial tcp: no such host\n" + STACK,
            "dial tcp: no such host",
        ),
        (
            "E1124 13:01:02.1 1 a.go:1] first\nF1124 13:01:03.1 1 a.go:2] Error 1045: Access denied\n",
            "Error 1045: Access denied",
        ),
        (
            "E1129 14:01:02.1 1 connection.go:36] Ping to Katib db failed: Error 1045: Access denied\n"
            "F1129 14:01:03.1 1 main.go:112] DB open failed: Timeout waiting for DB conn successfully opened.\n",
            "Ping to Katib db failed: Error 1045: Access denied",
        ),
        ("F1129 14:01:03.1 1 main.go:112] Timeout waiting.\n", "Timeout waiting."),
    ],
)
def test_the_last_error_is_found_in_the_end_of_a_log(log, said):
    assert last_words(log) == said


def test_a_crash_is_told_in_the_programs_own_words():
    ended = {"reason": "Error", "exitCode": 255, "message": "F1124 13:01:03.1 1 a.go:2] no database\n"}
    waits = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
    container = {"state": {"waiting": waits}, "lastState": {"terminated": ended}}
    assert pod_reason({"status": {"containerStatuses": [container]}}) == "CrashLoopBackOff: no database"
    ended["message"] = ""
    assert pod_reason({"status": {"containerStatuses": [container]}}) == "CrashLoopBackOff"
