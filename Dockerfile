# One image for every role: docker run IMAGE, or docker run IMAGE proxy, control-plane, check.
# Configuration is in /pitwall/conf, sources in /pitwall/conf/sources, state in /var/lib/pitwall.

FROM node:20-bookworm-slim AS page
WORKDIR /page
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci
COPY frontend/ ./
RUN npm run build

FROM rust:1.95-bookworm AS rust
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
RUN cargo install cargo-chef --version 0.1.78 --locked
WORKDIR /src

# What is depended on, and nothing else of the sources.
FROM rust AS recipe
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM rust AS build
COPY --from=recipe /src/recipe.json ./
# The layer that takes long: built again only when Cargo.lock or a manifest changes.
RUN cargo chef cook --release --locked --package pitwall --recipe-path recipe.json
COPY . .
COPY --from=page /page/build frontend/build
# Without line tables it has a quarter of its size.
RUN cargo build --release --locked --package pitwall && strip --strip-debug target/release/pitwall

# Not distroless: yt-dlp, Streamlink and Chromium are installed on top of it where sources need them.
FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 pitwall \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/pitwall --no-create-home pitwall \
    && install --directory --owner pitwall --group pitwall --mode 0700 /var/lib/pitwall
COPY --from=build /src/target/release/pitwall /usr/local/bin/
# `pitwall` looks for conf/pitwall.toml where it is started.
WORKDIR /pitwall
COPY conf/pitwall.toml conf/
# By number: Kubernetes cannot see that a name is not root's.
USER 10001:10001
# Loopback would be the container's own.
ENV PITWALL_EDGE__LISTEN=0.0.0.0:8080 \
    PITWALL_EDGE__ADMIN=0.0.0.0:9180 \
    PITWALL_STATE__DIR=/var/lib/pitwall
# Not 9180: `docker run -P` publishes what is exposed, and the admin listener is private.
EXPOSE 8080
VOLUME /var/lib/pitwall
# An edge drains on it for [edge] drain, 20 s: stop it with `docker stop -t 30`.
STOPSIGNAL SIGTERM
# There is no curl. A control plane of its own has HEALTH_PORT=9181.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["bash", "-c", \
    "exec 3<> /dev/tcp/127.0.0.1/${HEALTH_PORT:-9180} && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && test \"$status\" = 200"]
ENTRYPOINT ["pitwall"]
CMD ["run"]
