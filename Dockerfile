# The demo in a container:
#   docker build -t intrada .
#   docker run --name demo --shm-size=1g intrada && docker cp demo:/intrada/results .
# With a GPU: --gpus all. Other commands: docker run ... intrada make test-fast
FROM python:3.12-slim-bookworm

# git: DVC needs a repository. libglib2.0-0: OpenCV.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libglib2.0-0 make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /intrada
ENV PIP_NO_CACHE_DIR=1

# The packages are a layer of their own, which an edit of the code does not rebuild.
COPY Makefile README.md constraints.txt pyproject.toml ./
COPY intrada/__init__.py intrada/
RUN make env

COPY . .
CMD ["make", "demo"]
