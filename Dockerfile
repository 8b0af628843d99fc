# One image for re-rest, re-core, re-worker, re-forest and rectl: which of them runs is the command.
# Everything that it installs is named with its hash in requirements.lock and packaging/build.lock (make lock).

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY packaging/build.lock requirements.lock ./
RUN python -m venv /build \
    && /build/bin/pip install --require-hashes -r build.lock \
    && python -m venv /opt/release-engine \
    && /opt/release-engine/bin/pip install --require-hashes -r requirements.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY dploylib dploylib
COPY re_client re_client
COPY re_core re_core
COPY re_dploy re_dploy
COPY re_gateways re_gateways
COPY re_rest re_rest
COPY re_up re_up
COPY re_workers re_workers
COPY schemas schemas
# nothing is fetched any more: what builds it, and what it needs, is there
RUN /build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/release-engine/bin/pip install --no-index --no-deps /wheels/*.whl \
    && /opt/release-engine/bin/pip check \
    && /opt/release-engine/bin/python -m compileall -q /opt/release-engine

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/release-engine --create-home release-engine
COPY --from=build /opt/release-engine /opt/release-engine
ENV PATH=/opt/release-engine/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RE_DATA_DIR=/var/lib/release-engine
USER 10001:10001
WORKDIR /var/lib/release-engine
STOPSIGNAL SIGTERM
CMD ["rectl", "--help"]
