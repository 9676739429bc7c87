# mmrefseg in a container. It was written with care and NOT BUILT where this package is made, which has no Docker.
#
#   docker build -t mmrefseg .                                                    # CPU
#   docker build -t mmrefseg --build-arg TORCH_INDEX=https://pypi.org/simple .    # NVIDIA GPU: PyPI's torch brings CUDA's libraries
#   docker run --rm -v "$PWD/photos:/photos" mmrefseg predict /photos --text "left guy" --out /photos/found
#   docker run --rm --gpus all -v "$PWD:/work" -w /work mmrefseg train my_photos/
#
# BASE is any image of Debian or Ubuntu; one without Python gets its own (3.11 to 3.14 is needed), for example
# --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04. Nothing is fetched but by apt and pip.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

# OpenCV's libraries, and what `make install` needs
RUN apt-get update \
    && apt-get install -y --no-install-recommends make libgl1 libglib2.0-0 \
        $(command -v python3 > /dev/null || echo python3 python3-venv python3-pip) \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /mmrefseg
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# torch by itself, so that a change of the package does not fetch it again; `make install` keeps the one that is there
RUN python3 -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --index-url "${TORCH_INDEX}" torch==2.13.0

COPY . .
RUN make install

ENV PATH=/mmrefseg/.venv/bin:${PATH} \
    MPLCONFIGDIR=/tmp/matplotlib
ENTRYPOINT ["mmrefseg"]
CMD ["doctor"]
