# All that the workflow and its jobs need, for machines with a CUDA GPU; lmcore itself comes from the
# project's folder, in which Snakemake runs. docs/quickstart.md says how it is used.
# torch's wheel brings its CUDA libraries along: of the base image only the word to the container
# runtime is needed, that this image wants the driver.
FROM nvidia/cuda:12.8.1-base-rockylinux9

# The distribution mends its packages without new names: pinned versions would soon be gone.
# hadolint ignore=DL3041
RUN dnf install -y --setopt=install_weak_deps=False git make python3.11 python3.11-pip \
    && dnf clean all

COPY envs/requirements.lock /opt/requirements.lock
ENV PATH=/opt/venv/bin:$PATH
# torch alone first: asked for together with others, an installer may prefer another build of it
RUN python3.11 -m venv /opt/venv \
    && pip install --no-cache-dir "$(grep '^torch==' /opt/requirements.lock)" \
    && pip install --no-cache-dir --requirement /opt/requirements.lock
