"""Pebble of workload containers as charms with their own dispatch reach it: HTTP on a Unix socket.

Behind it is the client of ops-scenario that charms in the fast way have, so both ways know and remember the
same. Facts: canonical/pebble 1.22, docs/reference/api and internals/daemon (api_services.go, api_files.go,
api_exec.go, api_checks.go, api_notices.go, response.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.message
import io
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ops.pebble
from aiohttp import BodyPartReader, MultipartWriter, web

VERSION = "v1.22.2"
_MOST = 1 << 30
"""Bytes of a request."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PebbleServer:
    """Pebble of one container.

    Args:
        client: what it does and knows.
    """

    def __init__(self, client: Any):
        self._client = client
        self._changes: dict[str, dict[str, Any]] = {}
        self._execs: dict[str, Any] = {}
        self._ended: dict[str, asyncio.Event] = {}

    def application(self) -> web.Application:
        """Return the web application."""
        application = web.Application(middlewares=[_explained], client_max_size=_MOST)
        application.add_routes(
            [
                web.get("/v1/system-info", self._system_info),
                web.get("/v1/health", self._health),
                web.get("/v1/plan", self._plan),
                web.post("/v1/layers", self._add_layer),
                web.get("/v1/services", self._services),
                web.post("/v1/services", self._change_services),
                web.post("/v1/signals", self._signal),
                web.get("/v1/changes", self._list_changes),
                web.get("/v1/changes/{id}", self._change),
                web.get("/v1/changes/{id}/wait", self._change),
                web.get("/v1/files", self._read_files),
                web.post("/v1/files", self._write_files),
                web.get("/v1/checks", self._checks),
                web.post("/v1/checks", self._change_checks),
                web.get("/v1/notices", self._notices),
                web.get("/v1/notices/{id}", self._notice),
                web.post("/v1/notices", self._notify),
                web.post("/v1/exec", self._exec),
                web.get("/v1/tasks/{id}/websocket/{stream}", self._stream),
            ]
        )
        return application

    # Plan and services

    async def _system_info(self, _: web.Request) -> web.Response:
        return _sync({"version": VERSION, "boot-id": "00000000-0000-0000-0000-000000000000"})

    async def _health(self, _: web.Request) -> web.Response:
        return _sync({"healthy": True})

    async def _plan(self, _: web.Request) -> web.Response:
        return _sync(self._client.get_plan().to_yaml())

    async def _add_layer(self, request: web.Request) -> web.Response:
        said = await request.json()
        self._client.add_layer(said["label"], said["layer"], combine=bool(said.get("combine")))
        return _sync(True)

    async def _services(self, request: web.Request) -> web.Response:
        names = _words(request.query.getall("names", []))
        found = self._client.get_services(names or None)
        return _sync([_service(each) for each in found])

    async def _change_services(self, request: web.Request) -> web.Response:
        said = await request.json()
        action, names = said["action"], list(said.get("services") or [])
        match action:
            case "autostart" | "replan":
                getattr(self._client, f"{action}_services")()
            case "start" | "stop" | "restart":
                planned = self._client.get_plan().services
                if unknown := [name for name in names if name not in planned]:
                    raise _bad(f'cannot {action} services: service "{unknown[0]}" does not exist')
                getattr(self._client, f"{action}_services")(names)
            case _:
                raise _bad(f'action "{action}" is unsupported')
        return self._asynchronous(action, f'{action.title()} service "{", ".join(names)}"')

    async def _signal(self, request: web.Request) -> web.Response:
        said = await request.json()
        self._client.send_signal(said["signal"], said["services"])
        return _sync(True)

    # Changes, all of which are done at once

    def _asynchronous(
        self, kind: str, summary: str, result: Any = None, *, data: dict[str, Any] | None = None
    ) -> web.Response:
        """Return the answer to a request whose work goes on, which is recorded as a change."""
        number = str(len(self._changes) + 1)
        now = _moment(datetime.datetime.now(datetime.UTC))
        task = {
            "id": number,
            "kind": kind,
            "summary": summary,
            "status": "Done",
            "progress": {"label": "", "done": 1, "total": 1},
            "spawn-time": now,
            "ready-time": now,
            "data": data or {},
        }
        self._changes[number] = {
            "id": number,
            "kind": kind,
            "summary": summary,
            "status": "Done",
            "tasks": [task],
            "ready": True,
            "spawn-time": now,
            "ready-time": now,
        }
        body = {"type": "async", "status-code": 202, "status": "Accepted", "change": number, "result": result}
        return web.json_response(body, status=202)

    async def _list_changes(self, request: web.Request) -> web.Response:
        ready = request.query.get("select", "in-progress") != "in-progress"
        return _sync(list(self._changes.values()) if ready else [])

    async def _change(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        if number in self._ended:
            await self._ended[number].wait()
        if number not in self._changes:
            raise ops.pebble.APIError({}, 404, "Not Found", f'cannot find change with id "{number}"')
        return _sync(self._changes[number])

    # Files

    async def _read_files(self, request: web.Request) -> web.StreamResponse:
        asked = request.query
        if asked.get("action") == "list":
            found = self._client.list_files(
                asked["path"], pattern=asked.get("pattern"), itself=asked.get("itself") == "true"
            )
            return _sync([_file(each) for each in found])
        if asked.get("action") != "read":
            raise _bad(f'invalid action "{asked.get("action")}"')
        results, contents = [], []
        for path in asked.getall("path"):
            result: dict[str, Any] = {"path": path}
            try:
                with self._client.pull(path, encoding=None) as file:
                    contents.append((path, file.read()))
            except ops.pebble.PathError as error:
                result["error"] = {"kind": error.kind, "message": error.message}
            results.append(result)
        return await _multipart(request, results, contents)

    async def _write_files(self, request: web.Request) -> web.Response:
        if request.content_type == "application/json":
            said = await request.json()
            actions = {"make-dirs": self._make_directory, "remove": self._remove}
            if said["action"] not in actions:
                raise _bad(f'invalid action "{said["action"]}"')
            act = actions[said["action"]]
            items = said.get("dirs") or said.get("paths") or []
            return _sync([_tried(item["path"], lambda item=item: act(item)) for item in items])
        parts = await request.multipart()
        described: dict[str, dict[str, Any]] = {}
        results = []
        async for part in parts:
            if not isinstance(part, BodyPartReader):
                raise _bad("a part of the request has parts itself")
            if part.name == "request":
                described = {each["path"]: each for each in json.loads(await part.read())["files"]}
                continue
            path, content = _filename(part), bytes(await part.read())
            info = described.get(path, {"path": path})
            results.append(_tried(path, lambda info=info, content=content: self._write(info, content)))
        return _sync(results)

    def _write(self, info: Mapping[str, Any], content: bytes) -> None:
        self._client.push(info["path"], content, make_dirs=bool(info.get("make-dirs")), **_ownership(info))

    def _make_directory(self, info: Mapping[str, Any]) -> None:
        self._client.make_dir(info["path"], make_parents=bool(info.get("make-parents")), **_ownership(info))

    def _remove(self, info: Mapping[str, Any]) -> None:
        self._client.remove_path(info["path"], recursive=bool(info.get("recursive")))

    # Checks and notices

    async def _checks(self, request: web.Request) -> web.Response:
        level = request.query.get("level")
        names = _words(request.query.getall("names", []))
        found = self._client.get_checks(ops.pebble.CheckLevel(level) if level else None, names or None)
        return _sync([_check(each) for each in found])

    async def _change_checks(self, request: web.Request) -> web.Response:
        said = await request.json()
        act = {"start": self._client.start_checks, "stop": self._client.stop_checks}.get(said["action"])
        if act is None:
            raise _bad(f'invalid action "{said["action"]}"')
        planned = self._client.get_plan().checks
        if unknown := [name for name in said["checks"] if name not in planned]:
            raise _bad(f"cannot {said['action']} checks: cannot find checks in plan: {', '.join(unknown)}")
        return _sync({"changed": act(list(said["checks"]))})

    async def _notices(self, request: web.Request) -> web.Response:
        types = [ops.pebble.NoticeType(each) for each in _words(request.query.getall("types", []))]
        keys = _words(request.query.getall("keys", []))
        found = self._client.get_notices(types=types or None, keys=keys or None)
        return _sync([_notice(each) for each in found])

    async def _notice(self, request: web.Request) -> web.Response:
        return _sync(_notice(self._client.get_notice(request.match_info["id"])))

    async def _notify(self, request: web.Request) -> web.Response:
        said = await request.json()
        kind = ops.pebble.NoticeType(said["type"])
        return _sync({"id": self._client.notify(kind, said["key"], data=said.get("data"))})

    # Commands

    async def _exec(self, request: web.Request) -> web.Response:
        said = await request.json()
        process = self._client.exec(list(said["command"]))
        data = {"exit-code": process._return_code}
        answer = self._asynchronous("exec", f'Execute command "{said["command"][0]}"', data=data)
        number = str(len(self._changes))
        self._execs[number] = (process, bool(said.get("split-stderr")))
        self._ended[number] = asyncio.Event()
        body = json.loads(answer.text or "")
        body["result"] = {"environment": said.get("environment") or {}, "task-id": number, "working-dir": "/"}
        return web.json_response(body, status=202)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Play one of a command's streams: `control`, `stdio` or `stderr`."""
        number, name = request.match_info["id"], request.match_info["stream"]
        if number not in self._execs:
            raise ops.pebble.APIError({}, 404, "Not Found", f'cannot find task with id "{number}"')
        process, split = self._execs[number]
        stream = web.WebSocketResponse()
        await stream.prepare(request)
        if name == "stdio":
            output = process.stdout.read() + ("" if split else process.stderr.read())
            await stream.send_bytes(output.encode())
            await stream.send_str('{"command":"end"}')
            self._ended[number].set()
        elif name == "stderr":
            await stream.send_bytes(process.stderr.read().encode())
            await stream.send_str('{"command":"end"}')
        async for _ in stream:  # what the charm writes is read, so that it need not wait
            pass
        return stream


@web.middleware
async def _explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer as Pebble does if something cannot be done."""
    try:
        return await handler(request)
    except ops.pebble.APIError as error:
        return _error(error.code, error.message)
    except (RuntimeError, ValueError) as error:
        # ops-scenario tells so what Pebble answers with 400.
        return _error(400, str(error).removeprefix("400 Bad Request: "))
    except web.HTTPNotFound:
        return _error(404, f"invalid API endpoint requested: {request.path}")


def _bad(message: str) -> ops.pebble.APIError:
    return ops.pebble.APIError({}, 400, "Bad Request", message)


def _error(code: int, message: str) -> web.Response:
    body = {"type": "error", "status-code": code, "result": {"message": message}}
    return web.json_response(body, status=code)


def _sync(result: Any) -> web.Response:
    return web.json_response({"type": "sync", "status-code": 200, "status": "OK", "result": result})


async def _multipart(
    request: web.Request, results: list[dict[str, Any]], contents: list[tuple[str, bytes]]
) -> web.StreamResponse:
    """Answer with files, and what became of each."""
    with MultipartWriter("form-data") as writer:
        for path, content in contents:
            part = writer.append(io.BytesIO(content))
            part.headers.pop("Content-Length", None)
            part.set_content_disposition("form-data", quote_fields=False, name="files", filename=path)
        said = {"type": "sync", "status-code": 200, "status": "OK", "result": results}
        part = writer.append_json(said)
        part.set_content_disposition("form-data", name="response")
    return web.Response(body=writer)


def _tried(path: str, act: Callable[[], None]) -> dict[str, Any]:
    """Return the result of an action on a path."""
    try:
        act()
    except ops.pebble.PathError as error:
        return {"path": path, "error": {"kind": error.kind, "message": error.message}}
    return {"path": path}


def _filename(part: BodyPartReader) -> str:
    """Return the path of a file that is sent; aiohttp's own reading of it drops the first slash."""
    message = email.message.Message()
    message["Content-Disposition"] = part.headers["Content-Disposition"]
    return message.get_filename("")


def _ownership(info: Mapping[str, Any]) -> dict[str, Any]:
    permissions = info.get("permissions")
    return {
        "permissions": int(permissions, 8) if permissions else None,
        "user_id": info.get("user-id"),
        "user": info.get("user"),
        "group_id": info.get("group-id"),
        "group": info.get("group"),
    }


def _words(values: list[str]) -> list[str]:
    """Return the values of a parameter, which may be repeated or parted by commas."""
    return [word for value in values for word in value.split(",") if word]


def _word(value: Any) -> str:
    """Return the word of an enum of ops, or the word itself."""
    return str(getattr(value, "value", value))


def _moment(at: datetime.datetime) -> str:
    return (at if at.tzinfo else at.astimezone()).isoformat()


def _file(info: ops.pebble.FileInfo) -> dict[str, Any]:
    said = {
        "path": info.path,
        "name": info.name,
        "type": _word(info.type),
        "size": info.size,
        "permissions": f"{info.permissions:03o}",
        "last-modified": _moment(info.last_modified),
        "user-id": info.user_id,
        "user": info.user,
        "group-id": info.group_id,
        "group": info.group,
    }
    return {key: value for key, value in said.items() if value is not None}


def _service(info: ops.pebble.ServiceInfo) -> dict[str, Any]:
    return {"name": info.name, "startup": _word(info.startup), "current": _word(info.current)}


def _check(info: ops.pebble.CheckInfo) -> dict[str, Any]:
    said = {
        "name": info.name,
        "level": _word(info.level) if info.level else None,
        "startup": _word(info.startup),
        "status": _word(info.status),
        "successes": info.successes,
        "failures": info.failures,
        "threshold": info.threshold,
        "change-id": info.change_id,
    }
    return {key: value for key, value in said.items() if value not in (None, "")}


def _notice(notice: ops.pebble.Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "user-id": notice.user_id,
        "type": _word(notice.type),
        "key": notice.key,
        "first-occurred": _moment(notice.first_occurred),
        "last-occurred": _moment(notice.last_occurred),
        "last-repeated": _moment(notice.last_repeated),
        "occurrences": notice.occurrences,
        "last-data": notice.last_data,
    }


@contextlib.contextmanager
def serving(clients: Mapping[Path, Any]) -> Iterator[None]:
    """Serve Pebble on Unix sockets, in a thread, as long as this lasts.

    Args:
        clients: what each does, by the path of its socket.
    """
    loop = asyncio.new_event_loop()
    runners = [(path, web.AppRunner(PebbleServer(client).application())) for path, client in clients.items()]

    async def begin() -> None:
        for path, runner in runners:
            await runner.setup()
            await web.UnixSite(runner, str(path)).start()

    async def end() -> None:
        for path, runner in runners:
            await runner.cleanup()
            path.unlink(missing_ok=True)

    thread = threading.Thread(target=loop.run_forever, name="pebble", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result()
        yield
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
