"""Generates the package lossd.v1 (messages, service stubs and their types) from proto/.

Run it after a change of the protos: `python client/python/generate.py`. Installing the package runs
    it as well.
"""

import importlib.resources
import pathlib
import shutil
import sys
import sysconfig

HERE = pathlib.Path(__file__).resolve().parent
PROTO_ROOT = HERE.parents[1] / "proto"
PACKAGE = HERE / "src" / "lossd" / "v1"


def plugin(name: str) -> str:
    """The option that points protoc at a plugin of the running Python."""
    scripts = sysconfig.get_path("scripts")
    path = shutil.which(name, path=scripts) or shutil.which(name)
    if path is None:
        sys.exit(f"{name} is missing: pip install mypy-protobuf")
    return f"--plugin={name}={path}"


def protoc(protos: list[pathlib.Path], *options: str) -> None:
    """Runs the protoc that grpcio-tools carries."""
    from grpc_tools import protoc as compiler

    well_known = importlib.resources.files("grpc_tools") / "_proto"
    roots = [f"--proto_path={PROTO_ROOT}", f"--proto_path={well_known}"]
    status = compiler.main(["protoc", *roots, *options, *map(str, protos)])
    if status != 0:
        sys.exit(status)


def generate() -> None:
    """Writes PACKAGE; leaves it alone where there are no protos, as in a source distribution."""
    protos = sorted(PROTO_ROOT.glob("lossd/v1/*.proto"))
    if not protos and PACKAGE.exists():
        return
    if not protos:
        sys.exit(f"no protos under {PROTO_ROOT}")
    shutil.rmtree(PACKAGE, ignore_errors=True)
    PACKAGE.mkdir(parents=True)
    out = PACKAGE.parents[1]
    protoc(protos, plugin("protoc-gen-mypy"), f"--python_out={out}", f"--mypy_out=quiet:{out}")
    services = [proto for proto in protos if proto.stem == "service"]
    stubs = [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}"]
    protoc(services, plugin("protoc-gen-mypy_grpc"), *stubs)
    (PACKAGE / "__init__.py").write_text(
        '"""The wire contract, generated from proto/lossd/v1."""\n'
    )


if __name__ == "__main__":
    generate()
