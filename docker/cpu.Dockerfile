# expandr_repro for machines without a GPU, from the built wheel:
#   docker build -f docker/cpu.Dockerfile -t expandr-repro:cpu .
#   docker run --rm -v expandr-cache:/cache expandr-repro:cpu
#   docker run --rm -v expandr-cache:/cache -v "$PWD:/work" -v /path/to/collections:/data expandr-repro:cpu search --topics scifact --output run.trec
# TORCH_INDEX: the package index that PyTorch's install page gives for "CPU"; without it torch comes with 3.6 GB of CUDA libraries, and works.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY expandr_repro expandr_repro
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.12-slim
ARG TORCH_INDEX=""
COPY constraints.txt /opt/expandr/constraints.txt
COPY --from=build /dist /dist
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-cache-dir -c /opt/expandr/constraints.txt --index-url "$TORCH_INDEX" torch; \
    fi \
    && pip install --no-cache-dir -c /opt/expandr/constraints.txt /dist/*.whl \
    && rm -r /dist \
    && useradd --create-home --uid 1000 user \
    && mkdir -p /cache /data /work \
    && chown 1000 /cache /work
# Everything that is fetched or built goes to /cache: mount a volume there. BM25's Java comes with the wheel's dependencies.
ENV EXPANDR_CACHE=/cache/expandr_repro \
    EXPANDR_DATA=/data \
    HF_HOME=/cache/huggingface \
    IR_DATASETS_HOME=/cache/ir_datasets \
    PYSERINI_CACHE=/cache/pyserini
USER 1000
WORKDIR /work
ENTRYPOINT ["expandr"]
CMD ["search", "--topics", "pocket"]
