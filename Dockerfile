# One image for every role: the command says which.
FROM node:20-bookworm-slim AS page
WORKDIR /page
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /pitwall
COPY . .
COPY --from=page /page/build frontend/build
RUN cargo build --release --locked --package pitwall

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/pitwall --create-home pitwall
COPY --from=build /pitwall/target/release/pitwall /usr/local/bin/pitwall
COPY conf/pitwall.toml /etc/pitwall/pitwall.toml
USER pitwall
ENV PITWALL_EDGE__LISTEN=0.0.0.0:8080 \
    PITWALL_EDGE__ADMIN=0.0.0.0:9180 \
    PITWALL_STATE__DIR=/var/lib/pitwall
EXPOSE 8080 9180
VOLUME /var/lib/pitwall
ENTRYPOINT ["pitwall"]
CMD ["run", "--config", "/etc/pitwall/pitwall.toml"]
