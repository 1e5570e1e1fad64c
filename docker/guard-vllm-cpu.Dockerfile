# syntax=docker/dockerfile:1
# The guard with vLLM for CPUs as its child: exactly the locked environment that the tests ran in, less what only develops.
#   docker build -f docker/guard-vllm-cpu.Dockerfile -t p2p-guard/guard:0.1.0-vllm-cpu --build-arg PIP_EXTRA_INDEX_URL=... .
# On x86-64 the lock wants the CPU build of torch: PIP_EXTRA_INDEX_URL is PyTorch's index of CPU wheels, as in CONTRIBUTING.md.
ARG PYTHON=python:3.11.16-slim-bookworm

FROM ${PYTHON} AS build
ARG PIP_EXTRA_INDEX_URL
ARG DRIVERS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# vLLM's library wants it. Without a version: Debian's archive drops a package as soon as a fixed one is out.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/p2p-guard
COPY requirements/cpu.lock /src/requirements/cpu.lock
RUN grep -vE '^(grimp|hypothesis|import-linter|mypy|mypy-extensions|pytest|ruff|types-[a-z]+|kubernetes-validate)==' \
        /src/requirements/cpu.lock > /src/requirements/serve.lock \
    && /opt/p2p-guard/bin/pip install --no-deps --requirement /src/requirements/serve.lock
COPY pyproject.toml README.md LICENSE /src/
COPY p2p /src/p2p
COPY trainer /src/trainer
COPY guard_server /src/guard_server
COPY p2p_guard_cli /src/p2p_guard_cli
# The last line fails the build where torch is not the CPU's or the engine does not load.
RUN /opt/p2p-guard/bin/pip install --no-deps --no-build-isolation /src \
    && if [ -n "${DRIVERS}" ]; then /opt/p2p-guard/bin/pip install --constraint /src/requirements/serve.lock ${DRIVERS}; fi \
    && /opt/p2p-guard/bin/python -c "import torch, vllm; assert torch.version.cuda is None" \
    && /opt/p2p-guard/bin/pip uninstall --yes pip

FROM ${PYTHON}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnuma1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin p2p-guard
COPY --from=build /opt/p2p-guard /opt/p2p-guard
ENV PATH=/opt/p2p-guard/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000 8001 9090
ENTRYPOINT ["p2p-guard"]
CMD ["serve", "/etc/p2p-guard/guard.yaml"]
