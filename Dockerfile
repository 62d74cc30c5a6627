# The broker and the command, without Redis: give it STINT_REDIS_URL. See docs/deployment.md.
ARG NODE=20.20-bookworm-slim

FROM node:${NODE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN node scripts/build.mjs

FROM node:${NODE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --omit=dev && npm cache clean --force

FROM node:${NODE}
ENV NODE_ENV=production \
    STINT_LISTEN=0.0.0.0:8420 \
    STINT_METRICS_LISTEN=0.0.0.0:9420 \
    STINT_CONFIG=/etc/stint \
    STINT_DATA_DIR=/var/lib/stint \
    STINT_LOG_FORMAT=json
RUN install -d -m 0700 -o node -g node /var/lib/stint \
    && ln -s /app/dist/client/cli/main.js /usr/local/bin/stint
WORKDIR /app
COPY package.json ./
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /src/dist/domain ./dist/domain
COPY --from=build /src/dist/actions ./dist/actions
COPY --from=build /src/dist/outside ./dist/outside
COPY --from=build /src/dist/issuers ./dist/issuers
COPY --from=build /src/dist/store ./dist/store
COPY --from=build /src/dist/broker ./dist/broker
COPY --from=build --chmod=0755 /src/dist/client ./dist/client
COPY schema ./schema
USER 1000:1000
VOLUME /var/lib/stint
EXPOSE 8420 9420
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["node", "-e", "fetch('http://127.0.0.1:9420/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/broker/main.js"]
