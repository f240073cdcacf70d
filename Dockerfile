# tailwatch and helm, and nothing else. scripts/package image prepares the context:
#   docker buildx build --platform linux/amd64,linux/arm64 -f Dockerfile dist/image
FROM scratch
ARG TARGETARCH
COPY linux/${TARGETARCH}/ /
ENV PATH=/usr/local/bin HOME=/home/tailwatch
USER 65532:65532
WORKDIR /home/tailwatch
ENTRYPOINT ["/usr/local/bin/tailwatch"]
