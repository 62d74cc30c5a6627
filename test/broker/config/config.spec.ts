import { describe, expect, it } from "@jest/globals";
import { ConfigError, readConfig, type Env, type Outside } from "../../../broker/config.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");
const OTHER_KEY = Buffer.alloc(32, 8).toString("base64");

const outside: Partial<Outside> = {
  cwd: "/srv/stint",
  isTerminal: false,
  cores: () => 6,
  isCron: (expression) => !expression.includes("99"),
  readFile: (path) => {
    const file = FILES[path];
    if (file === undefined) throw new Error("ENOENT");
    return file;
  },
};
const FILES: Readonly<Record<string, { readonly text: string; readonly mode: number }>> = {
  "/run/key": { text: `${KEY}\n`, mode: 0o100600 },
  "/run/readable": { text: KEY, mode: 0o100644 },
  "/run/writable": { text: KEY, mode: 0o100666 },
  "/run/redis-url": { text: "rediss://stint:pa%3Ass@redis.internal:6380/2\n", mode: 0o100400 },
};

const read = (env: Env) => readConfig(env, outside);
const mistakesOf = (env: Env): readonly string[] => {
  try {
    read(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes.map(({ variable, message }) => `${variable}: ${message}`);
    throw error;
  }
  return [];
};

describe("an empty environment", () => {
  it("is a broker for this machine with a Redis of its own", () => {
    expect(read({})).toEqual({
      url: "http://127.0.0.1:8420",
      listen: { host: "127.0.0.1", port: 8420 },
      tls: undefined,
      trustedProxies: [],
      metricsListen: { host: "127.0.0.1", port: 9420 },
      redis: undefined,
      requireAof: false,
      dataDir: "/srv/stint/.stint",
      auditDir: "/srv/stint/.stint/audit",
      configPath: "/srv/stint/stint",
      watch: false,
      masterKey: undefined,
      operatorTokensFile: undefined,
      sweepCron: "* * * * * *",
      workers: 1,
      log: { level: "info", format: "json" },
      search: { searchPath: undefined, cacheDir: undefined },
      warnings: [],
    });
  });

  it("cannot be changed once it was read", () => {
    const config = read({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.listen)).toBe(true);
  });
});

describe("a full environment", () => {
  it("is read as it was meant", () => {
    const config = read({
      PATH: "/usr/bin",
      XDG_CACHE_HOME: "/var/cache",
      STINT_URL: "https://stint.acme.dev",
      STINT_TLS_CERT_FILE: "tls/cert.pem",
      STINT_TLS_KEY_FILE: "/etc/key.pem",
      STINT_TRUSTED_PROXIES: "10.0.0.0/8, ::1, loopback",
      STINT_METRICS_LISTEN: "off",
      STINT_REDIS_URL: "redis+sentinel://:secret@a,b:26380,[::1]/main?replicas=2",
      STINT_REQUIRE_AOF: "On",
      STINT_DATA_DIR: "/var/lib/stint",
      STINT_MASTER_KEY: `${KEY}, ${OTHER_KEY}`,
      STINT_WORKERS: "auto",
      STINT_WATCH: "1",
      STINT_LOG_FORMAT: "text",
      STINT_LOG_LEVEL: "debug",
    });
    expect(config).toMatchObject({
      url: "https://stint.acme.dev",
      listen: { host: "0.0.0.0", port: 8420 },
      tls: { certFile: "/srv/stint/tls/cert.pem", keyFile: "/etc/key.pem", clientCaFile: undefined },
      trustedProxies: ["10.0.0.0/8", "::1", "loopback"],
      metricsListen: undefined,
      requireAof: true,
      auditDir: "/var/lib/stint/audit",
      workers: 6,
      watch: true,
      log: { level: "debug", format: "text" },
      search: { searchPath: "/usr/bin", cacheDir: "/var/cache/stint" },
      warnings: [],
    });
    expect(config.redis).toMatchObject({
      kind: "sentinel",
      name: "main",
      replicas: 2,
      sentinels: [
        { host: "a", port: 26379 },
        { host: "b", port: 26380 },
        { host: "::1", port: 26379 },
      ],
    });
    expect(config.masterKey?.reveal()).toBe(`${KEY},${OTHER_KEY}`);
    expect(JSON.stringify(config)).not.toContain(KEY);
    expect(JSON.stringify(config)).not.toContain("secret");
  });

  it("listens where a loopback URL points", () => {
    expect(read({ STINT_URL: "http://localhost:9000" }).listen).toEqual({ host: "localhost", port: 9000 });
    expect(read({ STINT_URL: "https://[::1]" }).listen).toEqual({ host: "::1", port: 443 });
  });
});

describe("a secret from a file", () => {
  it("is read without its last newline", () => {
    const config = read({ STINT_MASTER_KEY_FILE: "/run/key", STINT_REDIS_URL_FILE: "/run/redis-url" });
    expect(config.masterKey?.reveal()).toBe(KEY);
    expect(config.redis).toMatchObject({ kind: "single", at: { host: "redis.internal", port: 6380 }, db: 2, tls: true, username: "stint" });
    expect(config.redis?.kind === "single" ? config.redis.password?.reveal() : "").toBe("pa:ss");
    expect(config.warnings).toEqual([]);
  });

  it("is a warning when others may read the file, and a mistake when they may write it", () => {
    expect(read({ STINT_MASTER_KEY_FILE: "/run/readable" }).warnings).toEqual([
      expect.stringContaining("STINT_MASTER_KEY_FILE may be read by others"),
    ]);
    expect(mistakesOf({ STINT_MASTER_KEY_FILE: "/run/writable" })).toEqual([
      "STINT_MASTER_KEY_FILE: expected a file that others can't write: chmod 600",
    ]);
  });

  it("is refused when it can't be read, or when the variable itself is set too", () => {
    expect(mistakesOf({ STINT_MASTER_KEY_FILE: "/run/none" })).toEqual([
      "STINT_MASTER_KEY_FILE: expected the path of a file that can be read",
    ]);
    expect(mistakesOf({ STINT_MASTER_KEY: KEY, STINT_MASTER_KEY_FILE: "/run/key" })).toEqual([
      "STINT_MASTER_KEY_FILE: expected only one of STINT_MASTER_KEY and STINT_MASTER_KEY_FILE",
    ]);
  });
});

describe("an environment with mistakes", () => {
  it("is refused with all of them at once, each by name and expectation, none by value", () => {
    const env = {
      STINT_URL: "http://canary-1.example/path/",
      STINT_LISTEN: "canary-2",
      STINT_TLS_CERT_FILE: "cert.pem",
      STINT_REDIS_URL: "mysql://user:canary-3@host",
      STINT_MASTER_KEY: "canary-4",
      STINT_WORKERS: "canary-5",
      STINT_LOG_LEVEL: "canary-6",
      STINT_SWEEP_CRON: "99 * * * * *",
      STINT_WATCH: "canary-7",
    };
    const mistakes = mistakesOf(env);
    expect(mistakes.map((mistake) => mistake.split(":")[0])).toEqual([
      "STINT_URL",
      "STINT_LISTEN",
      "STINT_REDIS_URL",
      "STINT_WATCH",
      "STINT_MASTER_KEY",
      "STINT_WORKERS",
      "STINT_LOG_LEVEL",
      "STINT_TLS_KEY_FILE",
      "STINT_SWEEP_CRON",
    ]);
    for (const mistake of mistakes) expect(mistake).toMatch(/^STINT_[A-Z_]+: expected /);
    expect(() => read(env)).toThrow(expect.objectContaining({ exitCode: 78, message: expect.not.stringContaining("canary") }));
  });

  it.each([
    { name: "a trailing slash", url: "https://stint.acme.dev/", wrong: "it ends in a slash" },
    { name: "a path", url: "https://stint.acme.dev/stint", wrong: "it has a path" },
    { name: "plain http to the world", url: "http://stint.acme.dev", wrong: "http is for loopback only" },
    { name: "a user", url: "https://me@stint.acme.dev", wrong: "it holds a user" },
    { name: "upper case", url: "https://Stint.acme.dev", wrong: "normal form" },
    { name: "a default port", url: "https://stint.acme.dev:443", wrong: "normal form" },
    { name: "another scheme", url: "ftp://stint.acme.dev", wrong: "scheme" },
    { name: "no URL at all", url: "stint", wrong: "it is no URL" },
    { name: "a name that only begins like loopback", url: "http://127.0.0.1.evil.example", wrong: "http is for loopback only" },
  ])("refuses a public URL with $name", ({ url, wrong }) => {
    expect(mistakesOf({ STINT_URL: url })).toEqual([expect.stringContaining(wrong)]);
  });

  it.each([
    { name: "several hosts without a kind", url: "redis://a,b" },
    { name: "a Sentinel without a master's name", url: "redis+sentinel://a,b" },
    { name: "a number of replicas that is none", url: "redis+cluster://a,b?replicas=many" },
    { name: "another parameter than replicas", url: "redis://a/0?replicas=1&db=2" },
    { name: "a Cluster with a database", url: "redis+cluster://a,b/3" },
    { name: "a port that is none", url: "redis://a:70000" },
    { name: "no host", url: "redis://" },
    { name: "a path that is no number", url: "redis://a/main" },
    { name: "a query", url: "redis://a/0?password=x" },
    { name: "a broken escape", url: "redis://u:%zz@a" },
  ])("refuses a Redis URL with $name", ({ url }) => {
    expect(mistakesOf({ STINT_REDIS_URL: url, STINT_MASTER_KEY: KEY })).toEqual([
      expect.stringMatching(/^STINT_REDIS_URL: expected redis:/),
    ]);
  });

  it.each([
    { name: "everybody", proxies: "0.0.0.0/0" },
    { name: "a name", proxies: "proxy.internal" },
    { name: "too many bits", proxies: "10.0.0.0/33" },
    { name: "an empty entry", proxies: "10.0.0.1,," },
  ])("refuses to trust $name as a proxy", ({ proxies }) => {
    expect(mistakesOf({ STINT_TRUSTED_PROXIES: proxies })).toEqual([expect.stringContaining("STINT_TRUSTED_PROXIES: expected addresses")]);
  });

  it("wants a master key where the Redis is not its own", () => {
    expect(mistakesOf({ STINT_REDIS_URL: "redis://a" })).toEqual([expect.stringContaining("STINT_MASTER_KEY: expected a master key")]);
  });

  it("refuses master keys of another length, and says which", () => {
    expect(mistakesOf({ STINT_MASTER_KEY: `${KEY},${Buffer.alloc(16).toString("base64")}` })).toEqual([
      expect.stringContaining("key 2 of 2"),
    ]);
  });
});

describe("a variable that is not ours", () => {
  it("is a warning that names the nearest known one", () => {
    const { warnings } = read({ STINT_REDIS_URI: "x", STINT_ID_TOKEN: "client's", STINT_XYZZY_PLUGH: "y", OTHER: "z" });
    expect(warnings).toEqual([
      "STINT_REDIS_URI is no variable of Stint; did you mean STINT_REDIS_URL?",
      "STINT_XYZZY_PLUGH is no variable of Stint",
    ]);
  });

  it("counts as absent when it is empty", () => {
    expect(read({ STINT_URL: "", STINT_MASTER_KEY_FILE: "" }).url).toBe("http://127.0.0.1:8420");
  });
});
