# A training that asks a server for its losses, for compose.yaml: the SDK, and the demo that wants nothing but numpy.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE}
COPY proto /src/proto
COPY client/python /src/client/python
RUN python3 -m venv /opt/trainer && /opt/trainer/bin/pip install --no-cache-dir /src/client/python
COPY demo /opt/trainer/demo
USER 10001:10001
ENTRYPOINT ["/opt/trainer/bin/python", "/opt/trainer/demo/without_torch.py"]
