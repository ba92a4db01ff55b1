"""`rehearse`: deploy a bundle on a real control plane and report whether every unit becomes active."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rehearsal import other_models
from rehearsal.cluster import nodes
from rehearsal.cluster.stages import Misbehaviour
from rehearsal.errors import RehearsalError
from rehearsal.juju.commands.tabular import render_status
from rehearsal.juju.controller.ordering import Shuffled
from rehearsal.juju.model import workloads
from rehearsal.juju.model.charms import Finder
from rehearsal.juju.model.state import Model
from rehearsal.network.outside import Outside
from rehearsal.node import placed
from rehearsal.node.images.recipes import RECIPES
from rehearsal.progress import Progress
from rehearsal.stage import Stage

_ACTIVE = "active"
_AFTERWARDS = """
To look inside: tox -e rehearse -- --keep
A real cluster needs what this one did not: nodes that run pods, a default StorageClass, a way to the images'
registries, and a load balancer for the gateway (MicroK8s: microk8s enable metallb:<range>) or else
juju config istio-ingressgateway gateway_service_type=NodePort"""


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0 only if every unit became active."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    # Treat a closed terminal (SIGHUP) and a service manager's stop (SIGTERM) like Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    progress = Progress()
    try:
        return _rehearse(arguments, progress)
    except RehearsalError as error:
        progress.end()
        print(f"rehearse: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.end()
        print("rehearse: interrupted; everything is stopped", file=sys.stderr)
        return 130


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rehearse",
        description="Deploy a Juju bundle on a real Kubernetes control plane made of local processes.",
    )
    add = parser.add_argument
    add("bundle", nargs="?", type=Path, default=Path("bundle.yaml"), help="the bundle (./bundle.yaml)")
    add("--overlay", type=Path, action="append", default=[], help="an overlay on it; several are possible")
    add("--model", default="kubeflow", help="the model, which is the namespace (kubeflow)")
    add("--also", action="append", default=[], metavar="MODEL=BUNDLE",
        help="deploy BUNDLE first, to a model whose offers the bundle consumes")  # fmt: skip
    add("--keep", action="store_true", help="stay up, with a shell in which juju and kubectl work")
    add("--env-file", type=Path, help="stay up until Ctrl-C, and write there what to source")
    add("--charm", action="append", default=[], metavar="NAME=DIR", help="run DIR in the place of NAME")
    add("--packed", action="store_true", help="run packed charms, by their own dispatch, where they exist")
    add("--kubeconfig", type=Path, help="use this cluster instead of a local control plane")
    add("--nodes", type=Path, default=nodes.DEFAULT, help="a file of nodes for the local one")
    add("--misbehave", action="append", default=[], metavar="POD=WAY",
        help="pods that do not come up: image-pull, crash-loop[:LAST WORDS], oom, slow:SECONDS")  # fmt: skip
    add("--audit-log", type=Path, metavar="FILE",
        help="add a line to FILE for each request to the local API server: who, what, status")  # fmt: skip
    add("--outside", action="append", default=[], metavar="IMAGE=ADDRESS",
        help="do not play IMAGE; its pods' ports are your program's: HOST, HOST:PORT or /SOCKET")  # fmt: skip
    add("--seed", type=int, metavar="N",
        help="run hooks in an order by chance where Juju promises none, N is its seed")  # fmt: skip
    add("--lease", type=float, default=0.0, metavar="SECONDS",
        help="how long an application has no leader when one is gone, 30 to 60 on Juju (0)")  # fmt: skip
    add("--workloads", type=Path, metavar="FILE",
        help="when containers are ready, and what commands in them answer")  # fmt: skip
    add("--no-load-balancer", dest="load_balancer", action="store_false",
        help="Services of type LoadBalancer get no address, as on a bare cluster")  # fmt: skip
    add("--real-node", action="store_true",
        help="really run the pods whose images can be made here (root, containerd)")  # fmt: skip
    add("--timeout", type=float, default=300, help="seconds until everything must be active (300)")
    return parser


def _rehearse(arguments: argparse.Namespace, progress: Progress) -> int:
    if not arguments.bundle.exists():
        raise RehearsalError(f"there is no bundle at {arguments.bundle}")
    replacements = {}
    for word in arguments.charm:
        name, sign, folder = word.partition("=")
        if not sign or not Path(folder).is_dir():
            raise RehearsalError(f"--charm takes NAME=DIR, and DIR must be a folder: {word}")
        replacements[name] = Path(folder).resolve()
    files = [arguments.bundle, *arguments.overlay]
    others = other_models.needed(files, arguments.model, other_models.given(arguments.also))
    finder = Finder(replacements, arguments.packed)
    progress.phase("control plane")
    stage = Stage(
        kubeconfig=arguments.kubeconfig,
        node_file=arguments.nodes,
        misbehaviours=tuple(map(Misbehaviour.parse, arguments.misbehave)),
        finder=finder,
        order=None if arguments.seed is None else Shuffled(arguments.seed),
        lease=arguments.lease,
        audit_log=arguments.audit_log,
        outside=tuple(map(Outside.parse, arguments.outside)),
        workloads=None if arguments.workloads is None else workloads.read(arguments.workloads),
        load_balancer=arguments.load_balancer,
        real_node=RECIPES if arguments.real_node else None,
        on_phase=progress.tell,
    )
    with stage:
        active = _deploy(stage, arguments, others, progress, finder)
        progress.end()
        with stage.engine.lock:
            print("\n".join(render_status(stage.engine.models[name]) for name in (*others, arguments.model)))
        if stage.node is not None:
            progress.console.print(placed.table(stage.cluster), soft_wrap=True)
        progress.console.print(progress.summary())
        if active and not (arguments.keep or arguments.env_file):
            progress.console.print(_AFTERWARDS, soft_wrap=True)
        if arguments.keep or arguments.env_file:
            _stay(stage, arguments.env_file)
        progress.phase("taking down")
    progress.end()
    if not active:
        print("rehearse: not everything is active", file=sys.stderr)
    return 0 if active else 1


def _deploy(
    stage: Stage,
    arguments: argparse.Namespace,
    others: Mapping[str, Path],
    progress: Progress,
    finder: Finder,
) -> bool:
    """Deploy with the commands that a user would type; return whether every unit became active in time."""
    progress.phase("juju deploy")
    for name, bundle in others.items():
        progress.console.print(f"The model {name}, whose offers are consumed: {bundle}", soft_wrap=True)
        _deploy_bundle(stage, name, bundle, progress)
    overlays = [part for path in arguments.overlay for part in ("--overlay", path)]
    _deploy_bundle(stage, arguments.model, arguments.bundle.resolve(), progress, *overlays)
    if unused := sorted(finder.replacements.keys() - finder.used):
        raise RehearsalError(f"--charm {unused[0]}: nothing in the bundle runs a charm of this name")
    progress.phase("all active")
    models = [stage.engine.models[name] for name in (arguments.model, *others)]
    deadline = time.monotonic() + arguments.timeout
    while time.monotonic() < deadline:
        with stage.engine.changed:
            units = _states(models)
            if set(units.values()) <= {_ACTIVE} and stage.engine.idle(1.0):
                return True
            stage.engine.changed.wait(0.5)
        stage.check()
        progress.states(units, _ACTIVE)
    return set(_states(models).values()) <= {_ACTIVE}


def _deploy_bundle(stage: Stage, model: str, bundle: Path, progress: Progress, *options: object) -> None:
    """Deploy a bundle to a new model, which is then the current one."""
    stage.juju("add-model", model)
    said = stage.juju("deploy", bundle, *options, "--trust")
    progress.console.print(said.strip(), soft_wrap=True)


def _states(models: Sequence[Model]) -> dict[str, str]:
    """Return each unit's status: `active`, or the word and the message; other models' units have its name."""
    return {
        unit.name if model is models[0] else f"{model.name}.{unit.name}": _ACTIVE
        if unit.workload.current == _ACTIVE
        else f"{unit.workload.current}: {unit.workload.message}".removesuffix(": ")
        for model in models
        for unit in model.units()
    }


def _stay(stage: Stage, env_file: Path | None) -> None:
    """Stay up while the user works in a shell, or until Ctrl-C."""
    environment = stage.environment
    if env_file is None and sys.stdin.isatty():
        print("juju and kubectl speak to the rehearsal; leave this shell to end it.")
        subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=os.environ | environment, check=False)
        return
    lines = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in environment.items())
    if env_file is not None:
        env_file.write_text(lines)
        print(f"The rehearsal stays up until Ctrl-C. In another terminal: . {env_file}", flush=True)
    else:
        print(f"{lines}The rehearsal stays up until Ctrl-C.", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()
    finally:
        if env_file is not None:
            env_file.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
