# The agent in a container. Redis runs beside it, see docker-compose.yml.

FROM node:22-bookworm-slim AS build
WORKDIR /app
RUN apt-get update \
  && apt-get install -y --no-install-recommends g++ make python3 \
  && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc ./
# The image has Node's headers, so that compiling SQLite downloads none.
RUN npm_config_nodedir=/usr/local npm ci --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/oclif.manifest.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/native/build native/build
COPY --from=build /app/bin bin
COPY --from=build /app/dist dist
RUN ln -s /app/bin/run.js /usr/local/bin/dynamicfs && mkdir -p /var/lib/dynamicfs /pools
# As root: disks and mounted file systems are root's to work on.
VOLUME ["/var/lib/dynamicfs", "/pools"]
ENV DYNAMICFS_STATE_DIR=/var/lib/dynamicfs
ENTRYPOINT ["node", "/app/bin/run.js"]
CMD ["agent", "run"]
