# Nothing is built in here. `make image` puts together what is copied, with the static binary that is released, and runs
#
#     docker build --file Dockerfile target/image
#
# With --platform linux/amd64,linux/arm64 it takes both, each from its own folder, and emulates nothing.
FROM scratch
ARG TARGETARCH
# /podskew, /etc/ssl/certs/ca-certificates.crt, /licenses/LICENSE
COPY ${TARGETARCH}/ /
USER 65532:65532
EXPOSE 8080
LABEL org.opencontainers.image.title="podskew" \
      org.opencontainers.image.description="Prometheus exporter that tells whether all replicas of a Kubernetes workload run the same thing" \
      org.opencontainers.image.source="https://github.com/podskew/podskew" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/podskew"]
