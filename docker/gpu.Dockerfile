# expandr_repro for NVIDIA GPUs, with what training and generation on this machine need, from the built wheel:
#   docker build -f docker/gpu.Dockerfile -t expandr-repro:gpu .
#   docker run --rm --gpus all -v expandr-cache:/cache expandr-repro:gpu doctor
#   docker run --rm --gpus all --ipc host -v expandr-cache:/cache -v "$PWD:/work" expandr-repro:gpu encode --corpus scifact --device cuda --output index
# torch brings its CUDA libraries along, so the base needs none; the host needs a driver new enough for them and the NVIDIA Container Toolkit.
# EXTRAS: `train`, or `train,vllm` (vllm chooses its own torch; constraints.txt is left out then).
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY expandr_repro expandr_repro
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.12-slim
ARG EXTRAS="train"
COPY constraints.txt /opt/expandr/constraints.txt
COPY --from=build /dist /dist
# a C compiler: torch.compile and Triton build kernels when they run
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && case "$EXTRAS" in *vllm*) : > /opt/expandr/constraints.txt ;; esac \
    && wheel="$(ls /dist/*.whl)" \
    && pip install --no-cache-dir -c /opt/expandr/constraints.txt "${wheel}[${EXTRAS}]" \
    && rm -r /dist \
    && useradd --create-home --uid 1000 user \
    && mkdir -p /cache /data /work \
    && chown 1000 /cache /work
ENV EXPANDR_CACHE=/cache/expandr_repro \
    EXPANDR_DATA=/data \
    HF_HOME=/cache/huggingface \
    IR_DATASETS_HOME=/cache/ir_datasets \
    PYSERINI_CACHE=/cache/pyserini \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
WORKDIR /work
ENTRYPOINT ["expandr"]
CMD ["doctor"]
