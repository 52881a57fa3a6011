# Two images: `docker build --target cpu .` for the demo on any machine, and `docker build .`, which is
# `cuda`, for clusters with NVIDIA cards. docs/image.md says what is in them, and what they expect.

FROM python:3.11.15-slim-bookworm AS wheel
WORKDIR /src
COPY LICENSE README.md pyproject.toml requirements.lock ./
COPY docker/ docker/
COPY cluster/ cluster/
COPY deployments/ deployments/
COPY placement/ placement/
COPY configs/architectures/ configs/architectures/
# pip hands a constraint of the environment on to where it builds; one on its command line it does not.
RUN --mount=type=cache,target=/root/.cache/pip \
    PIP_CONSTRAINT=/src/docker/constraints.txt \
    python -m pip wheel --no-deps --wheel-dir /wheels .


FROM python:3.11.15-slim-bookworm AS cpu-system
# tini: Python as PID 1 would not end at a SIGTERM that comes before it listens for one. wget: KubeRay's
# probes. The profile: before 1.4 KubeRay starts Ray from a login shell, which forgets this PATH.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 ray \
    && useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash ray \
    && install --directory --owner=ray --group=ray /models /app/var \
    && echo "PATH=/opt/venv/bin:\$PATH" > /etc/profile.d/venv.sh


FROM cpu-system AS cpu-packages
# Another place for the CPU build of torch, such as a copy of the index inside a closed network.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY docker/ docker/
COPY pyproject.toml requirements.lock ./
RUN python -m venv /opt/venv
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --no-deps --only-binary :all: \
    --constraint requirements.lock --index-url "${TORCH_INDEX}" torch
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/python docker/runtime_requirements.py postgres s3 tracing > /tmp/runtime.txt \
    && /opt/venv/bin/pip install --only-binary :all: \
    --constraint requirements.lock --constraint docker/constraints.txt --requirement /tmp/runtime.txt


# torch brings CUDA's libraries in its wheels, those of 13.0.3 in its default build: of NVIDIA's images
# the one without them is enough. It has the settings by which a container gets at its cards.
FROM nvidia/cuda:13.0.3-base-ubuntu24.04 AS cuda-system
# g++ and python3-dev: at run time `compile: true` builds C against Python's headers (Triton's launchers)
# and C++ (what Inductor leaves on the processor). The base image has a user of the uid 1000 already.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
    ca-certificates g++ python3 python3-dev python3-venv tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && userdel --remove ubuntu \
    && groupadd --gid 1000 ray \
    && useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash ray \
    && install --directory --owner=ray --group=ray /models /app/var \
    && echo "PATH=/opt/venv/bin:\$PATH" > /etc/profile.d/venv.sh


FROM cuda-system AS cuda-packages
WORKDIR /src
COPY docker/ docker/
COPY pyproject.toml requirements.lock ./
RUN python3 -m venv /opt/venv
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/python docker/runtime_requirements.py postgres s3 tracing > /tmp/runtime.txt \
    && /opt/venv/bin/pip install --only-binary :all: \
    --constraint requirements.lock --constraint docker/constraints.txt --requirement /tmp/runtime.txt


FROM cpu-system AS cpu
WORKDIR /app
COPY --from=cpu-packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    HOME=/home/ray \
    USER=ray \
    HF_HOME=/models \
    RAY_USAGE_STATS_ENABLED=0 \
    MALLOC_ARENA_MAX=2 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deployments.proxy_bounds.bounded \
    RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1 \
    RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1.0
COPY configs/ configs/
COPY demo/ demo/
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
USER 1000:1000
RUN dit-serve check configs/*.yaml
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="dit-serve" \
      org.opencontainers.image.description="Serves Diffusion Transformers in quality tiers on a Ray cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
EXPOSE 8000
HEALTHCHECK --start-period=180s --interval=15s --timeout=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=8)"]
ENTRYPOINT ["tini", "--", "dit-serve"]
# The demo's file listens on 127.0.0.1, which nobody outside a container reaches.
CMD ["up", "configs/demo.yaml", "--host", "0.0.0.0"]


FROM cuda-system AS cuda
WORKDIR /app
COPY --from=cuda-packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    HOME=/home/ray \
    USER=ray \
    HF_HOME=/models \
    RAY_USAGE_STATS_ENABLED=0 \
    MALLOC_ARENA_MAX=2 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deployments.proxy_bounds.bounded \
    RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1 \
    RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1.0
COPY configs/ configs/
COPY demo/ demo/
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
USER 1000:1000
RUN dit-serve check configs/*.yaml
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="dit-serve" \
      org.opencontainers.image.description="Serves Diffusion Transformers in quality tiers on a Ray cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
EXPOSE 8000
HEALTHCHECK --start-period=180s --interval=15s --timeout=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=8)"]
ENTRYPOINT ["tini", "--", "dit-serve"]
# The demo's file listens on 127.0.0.1, which nobody outside a container reaches.
CMD ["up", "configs/demo.yaml", "--host", "0.0.0.0"]
