"""A cell that makes a DB manager of Katib, which a kernel of `sdk_notebook` runs: it keeps reports in memory.

What it accepts and answers is as in kubeflow/katib v0.19.0, pkg/db/v1beta1/mysql/mysql.go: a metric without a
time is left out, a time that is none refuses the whole report, and logs are in the order of their times.
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false

import concurrent.futures
import datetime
from typing import Any

import grpc
import kubeflow.katib.katib_api_pb2 as api
import kubeflow.katib.katib_api_pb2_grpc as services


class DbManager(services.DBManagerServicer):
    """The service; `reported` has the metrics of each trial as (time, name, value)."""

    def __init__(self) -> None:
        self.reported: dict[str, list[tuple[str, str, str]]] = {}

    def ReportObservationLog(self, request: Any, context: Any) -> Any:  # noqa: N802 (gRPC's names)
        """Keep what is reported."""
        logs = [each for each in request.observation_log.metric_logs if each.time_stamp]
        for each in logs:
            try:
                _moment(each.time_stamp)
            except ValueError as error:
                context.abort(grpc.StatusCode.UNKNOWN, f"Error parsing start time {each.time_stamp}: {error}")
        kept = self.reported.setdefault(request.trial_name, [])
        kept += [(each.time_stamp, each.metric.name, each.metric.value) for each in logs]
        return api.ReportObservationLogReply()

    def GetObservationLog(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer with what has been reported of a trial."""
        kept = sorted(self.reported.get(request.trial_name, []), key=lambda each: _moment(each[0]))
        logs = [
            api.MetricLog(time_stamp=time, metric=api.Metric(name=name, value=value))
            for time, name, value in kept
            if request.metric_name in ("", name)
        ]
        return api.GetObservationLogReply(observation_log=api.ObservationLog(metric_logs=logs))


def _moment(text: str) -> datetime.datetime:
    """Return a time as RFC 3339 writes it; raises ValueError."""
    return datetime.datetime.strptime(text, f"%Y-%m-%dT%H:%M:%S{'.%f' if '.' in text else ''}%z")


db_manager = DbManager()
db_server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
services.add_DBManagerServicer_to_server(db_manager, db_server)
db_port = db_server.add_insecure_port("127.0.0.1:0")
db_server.start()
