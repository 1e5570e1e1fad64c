# syntax=docker/dockerfile:1
# The trainer. On x86-64 PyPI's torch is the CUDA build, so this image trains on GPUs; on CPUs with PIP_EXTRA_INDEX_URL as for the engine.
#   docker build -f docker/trainer.Dockerfile -t p2p-guard/trainer:0.1.0 .
ARG PYTHON=python:3.11.16-slim-bookworm

FROM ${PYTHON} AS build
ARG PIP_EXTRA_INDEX_URL
# `train,qlora` for base models in 4 bits.
ARG EXTRAS=train
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/p2p-guard
COPY requirements/cpu.lock /src/requirements/cpu.lock
COPY pyproject.toml README.md LICENSE /src/
COPY p2p /src/p2p
COPY trainer /src/trainer
COPY guard_server /src/guard_server
COPY p2p_guard_cli /src/p2p_guard_cli
RUN /opt/p2p-guard/bin/pip install --constraint /src/requirements/cpu.lock "/src[${EXTRAS}]" \
    && /opt/p2p-guard/bin/pip uninstall --yes pip

FROM ${PYTHON}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin p2p-guard
COPY --from=build /opt/p2p-guard /opt/p2p-guard
ENV PATH=/opt/p2p-guard/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["p2p-guard"]
CMD ["train", "--help"]
