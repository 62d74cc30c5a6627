// Jest runs what tsc emitted, so types are checked before a test starts and stack traces still point at the sources.
export default {
  rootDir: "dist",
  testEnvironment: "node",
  testMatch: ["<rootDir>/test/**/*.spec.js"],
  transform: {},
  maxWorkers: 2,
  workerIdleMemoryLimit: "512MB",
  testTimeout: 30_000,
};
