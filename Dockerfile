# Build: docker build -t detector .
# Run:   docker run -v ./detector.toml:/etc/detector/detector.toml:ro -v detector:/var/lib/detector -p 9798:9798 detector
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
# Without pip inside: what is copied to the final stage is the program and its libraries only.
RUN python -m venv --without-pip /opt/detector
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY detector ./detector
RUN python -m pip --python /opt/detector/bin/python install --no-cache-dir --constraint constraints.txt .

FROM ${BASE}
RUN useradd --system --uid 9798 --user-group --home-dir /var/lib/detector --create-home detector
COPY --from=build /opt/detector /opt/detector
# In a container the loopback address is nobody else's, so by default every address is listened on.
ENV PATH=/opt/detector/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DETECTOR_HTTP__HOST=0.0.0.0
USER detector
WORKDIR /var/lib/detector
VOLUME /var/lib/detector
EXPOSE 9798
# Importing TensorFlow and restoring the state may take a while before the first answer.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["detector", "health"]
ENTRYPOINT ["detector"]
CMD ["run", "--config", "/etc/detector/detector.toml"]
