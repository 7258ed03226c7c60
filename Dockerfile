# The relay alone: the database is a server that DATABASE_URL names, the embedded one stays out of the image.
#
#   docker build -t gemini-relay .
#   docker run -p 8080:8080 -e DATABASE_URL=postgres://… -v ./relay.yaml:/app/config/relay.yaml:ro gemini-relay

# glibc, and the major that has long-term support.
FROM node:24-slim AS manifest
WORKDIR /app
COPY package.json package-lock.json ./

FROM manifest AS build
# Nothing that is installed here runs a script of its own. The compiler's binary is an optional dependency: keep those.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
RUN npm run build

FROM manifest AS dependencies
# Our own optional dependencies are the embedded Postgres, 60 MB that would never run.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-slim
LABEL org.opencontainers.image.title="gemini-relay" \
      org.opencontainers.image.description="Receives Gemini API webhooks, keeps each exactly once in Postgres, and delivers them by rules." \
      org.opencontainers.image.licenses="Apache-2.0"
# The warning is about negative timeouts that kafkajs asks for and that mean none; it is no line of our log.
ENV NODE_ENV=production NODE_OPTIONS=--disable-warning=TimeoutNegativeWarning
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY config ./config
# For `docker exec … gemini-relay deliveries list`.
RUN ln -s /app/dist/main.js /usr/local/bin/gemini-relay

# The user `node` of the base image, as a number, so that an orchestrator can see that it is not root. Nothing here is its to write.
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
# /livez, not /readyz: what acts on an image's health kills the container, and a new one would not mend a database that is away.
# Whoever wants to know when it can take requests asks /readyz. It listens once Postgres answers, for which it waits a minute.
HEALTHCHECK --interval=10s --timeout=5s --start-period=75s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8080) + '/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/main.js"]
CMD ["serve"]
