# syntax=docker/dockerfile:1
# The guard alone, for an engine beside it or elsewhere: no torch, no vLLM.
#   docker build -f docker/guard.Dockerfile -t p2p-guard/guard:0.1.0 .
# For a build that can be repeated to the byte, give the base by digest: --build-arg PYTHON=python:3.11.16-slim-bookworm@sha256:...
ARG PYTHON=python:3.11.16-slim-bookworm

FROM ${PYTHON} AS build
# The extras, and drivers of fsspec for where adapters lie, such as "s3fs==2026.9.0".
ARG EXTRAS=signing
ARG DRIVERS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/p2p-guard
COPY requirements/cpu.lock /src/requirements/cpu.lock
COPY pyproject.toml README.md LICENSE /src/
COPY p2p /src/p2p
COPY trainer /src/trainer
COPY guard_server /src/guard_server
COPY p2p_guard_cli /src/p2p_guard_cli
# At the versions that the tests ran with. pip compiles what it installs: the root is read-only later on.
RUN /opt/p2p-guard/bin/pip install --constraint /src/requirements/cpu.lock "/src[${EXTRAS}]" ${DRIVERS} \
    && /opt/p2p-guard/bin/pip uninstall --yes pip

FROM ${PYTHON}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin p2p-guard
COPY --from=build /opt/p2p-guard /opt/p2p-guard
ENV PATH=/opt/p2p-guard/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000 8001 9090
ENTRYPOINT ["p2p-guard"]
CMD ["serve", "/etc/p2p-guard/guard.yaml"]
